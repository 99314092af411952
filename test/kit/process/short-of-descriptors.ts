/**
 * Run as a program by the tests, with a low limit of descriptors: its guardian is killed while there are none left. Prints problems, and
 * the process id of the guardian that it has once there are some again.
 */
import { closeSync, openSync } from 'node:fs';
import { ownGuardian } from '../../../sidecar/cli/own-guardian.js';

const taken: number[] = [];
let problems = 0;
const guardian = ownGuardian('short-1', (problem) => {
  process.stdout.write(`problem ${problem}\n`);
  problems += 1;
  if (problems === 1) setImmediate(goOn);
});

/** The second failure is the same one. */
function goOn(): void {
  guardian.prepare();
  setImmediate(() => {
    for (const descriptor of taken) closeSync(descriptor);
    guardian.prepare();
    process.stdout.write(`guardian ${guardian.pid}\n`);
    clearInterval(alive);
  });
}

const alive = setInterval(() => {}, 1_000);
guardian.prepare();
process.stdout.write(''); // opened while that is possible
try {
  for (;;) taken.push(openSync('/dev/null', 'r'));
} catch {
  process.kill(guardian.pid!, 'SIGKILL');
}
