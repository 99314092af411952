/**
 * `node dist/test/kit/process/install-tools.js [NAME…]`: brings the foreign programs of the outside tests into .cache/, those that
 * are named or those that `npm test` uses.
 *
 * The tests install what they miss by themselves; this is for doing it beforehand, so that no test pays for it.
 */

import path from 'node:path';
import { findConsul } from '../../../sidecar/cli/consul/binary.js';
import { install, isToolName, ROOT, TOOL_NAMES } from './tools.js';

async function installConsul(): Promise<string | undefined> {
  try {
    await findConsul({ env: process.env, cache: path.join(ROOT, '.cache') });
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function bring(name: string): Promise<string | undefined> {
  if (name === 'consul') return installConsul();
  return isToolName(name) ? install(name) : `${name} is no tool that the tests know`;
}

const asked = process.argv.slice(2);
let missing = 0;
for (const name of asked.length > 0 ? asked : ['consul', ...TOOL_NAMES]) {
  const problem = await bring(name);
  process.stdout.write(`${problem ?? `${name}: ready`}\n`);
  if (problem !== undefined) missing += 1;
}
process.exitCode = missing === 0 ? 0 : 1;
