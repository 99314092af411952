/**
 * Run as a program by the tests: owns one child, prints its process id, and does nothing else until it is killed.
 * Arguments: the child's argv.
 */

import { ChildProcessHandle } from '../../../sidecar/supervise/child-process.js';

const child = new ChildProcessHandle(process.argv.slice(2), {
  env: process.env,
  stdout: 2,
  stderr: 2,
  onExit: (how) => process.stdout.write(`exit ${how}\n`),
});
process.stdout.write(`pid ${child.pid}\n`);
setInterval(() => {}, 1_000);
