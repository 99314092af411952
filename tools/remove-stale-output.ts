/** `npm run build`, after the compiler: removes from `dist/` what was compiled from sources that have moved or gone. */
import { rmSync } from 'node:fs';
import { staleOutput } from './stale-output.js';

const stale = staleOutput(process.cwd());
for (const path of stale) rmSync(path);
// The compiler would not write such a file again when its source comes back, as by a change of branches.
if (stale.length > 0) rmSync('dist/.tsbuildinfo', { force: true });
