/**
 * Run as a program by the tests: owns one child, prints its process id, and does nothing else until it is killed.
 * Arguments: the child's argv. With GUARDED in the environment, a guardian of that name ends what the child starts, and its process id
 * is printed too.
 */

import { ownGuardian } from '../../../sidecar/cli/own-guardian.js';
import { ChildProcessHandle } from '../../../sidecar/supervise/child-process.js';

const { GUARDED: name, ...env } = process.env;
const guardian =
  name === undefined
    ? undefined
    : ownGuardian(name, (problem) => process.stdout.write(`problem ${problem}\n`));
const child = new ChildProcessHandle(process.argv.slice(2), {
  env,
  stdout: 2,
  stderr: 2,
  guardian,
  onExit: (how) => process.stdout.write(`exit ${how}\n`),
});
if (guardian !== undefined) process.stdout.write(`guardian ${guardian.pid}\n`);
process.stdout.write(`pid ${child.pid}\n`);
process.on('SIGTERM', () => process.exit(0));
setInterval(() => {}, 1_000);
