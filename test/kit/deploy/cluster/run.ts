/** Program: starts a cluster, says `ready` and where it lies, and stays until it is ended by a signal. */
import { Cluster } from './cluster.js';

// What a suite that can be skipped has: nothing is skipped here.
const context = {
  timeout: () => {},
  skip: () => {
    throw new Error('no cluster can be had here');
  },
} as unknown as Mocha.Context;
const cluster = await Cluster.orSkip(context);
process.stdout.write(`ready ${cluster.folder}\n`);
setInterval(() => {}, 60_000);
