/**
 * `node dist/test/kit/process/install-tools.js`: brings the foreign programs of the outside tests into .cache/.
 *
 * The tests install what they miss by themselves; this is for doing it beforehand, so that no test pays for it.
 */

import { install, TOOL_NAMES } from './tools.js';

let missing = 0;
for (const name of TOOL_NAMES) {
  const problem = await install(name);
  process.stdout.write(`${problem ?? `${name}: ready`}\n`);
  if (problem !== undefined) missing += 1;
}
process.exitCode = missing === 0 ? 0 : 1;
