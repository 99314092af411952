/** `npm run build`, after the compiler: removes from `dist/` what was compiled from sources that have moved or gone. */
import { rmSync } from 'node:fs';
import { staleOutput } from './stale-output.js';

for (const path of staleOutput(process.cwd())) rmSync(path);
