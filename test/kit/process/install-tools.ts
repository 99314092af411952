/**
 * `node dist/test/kit/process/install-tools.js`: brings the foreign programs of the outside tests into .cache/.
 *
 * The tests install what they miss by themselves; this is for doing it beforehand, so that no test pays for it.
 */

import path from 'node:path';
import { findConsul } from '../../../sidecar/cli/consul/binary.js';
import { install, ROOT, TOOL_NAMES } from './tools.js';

async function installConsul(): Promise<string | undefined> {
  try {
    await findConsul({ env: process.env, cache: path.join(ROOT, '.cache') });
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

let missing = 0;
for (const name of ['consul', ...TOOL_NAMES] as const) {
  const problem = await (name === 'consul' ? installConsul() : install(name));
  process.stdout.write(`${problem ?? `${name}: ready`}\n`);
  if (problem !== undefined) missing += 1;
}
process.exitCode = missing === 0 ? 0 : 1;
