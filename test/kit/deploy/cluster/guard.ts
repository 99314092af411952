/**
 * Program: waits until the process that has started it is gone, however it has ended, and removes what its cluster has left. Its standard input
 * is a pipe from that process. Ctrl-C in a terminal and the signals of a CI do not reach it, or it ignores them.
 */
import { type Remains, removeRemains } from './remains.js';

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
const remains = JSON.parse(process.argv[2]!) as Remains;
let isRemoved = false;
// Anything that is said means: the cluster has been removed in order.
process.stdin.on('data', () => {
  isRemoved = true;
});
process.stdin.once('end', () => {
  if (!isRemoved) {
    process.stderr.write('removing the cluster that was left\n');
    removeRemains(remains);
  }
  process.exit();
});
