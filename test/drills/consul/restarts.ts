/** Rows: sidecars are restarted while there is no Consul. */

import { setTimeout as delay } from 'node:timers/promises';
import { summarize } from '../faults/load.js';
import type { Row, Trial } from '../faults/row.js';
import { measure } from '../faults/times.js';
import type { SidecarNode } from './sidecar-node.js';
import { type ConsulWorld, whileKilled } from './world.js';

const READY_MS = 5_000;
const LIMIT_MS = 40_000;

export const restartWithKeys: Row<ConsulWorld> = {
  name: 'restart-with-keys',
  fault: 'sidecars are restarted while Consul is away, and had been told to keep their keys',
  async run(world, trial) {
    const replica = world.mesh.replicas[0]!;
    try {
      await trial.unharmed(world.load, async () => {
        await world.agent.kill();
        await replica.end('drained');
        await replica.start();
        trial.within('a replica that was drained is ready', READY_MS, await replica.untilReady());
        await serves(trial, replica, 'and serves');
      });
      await callerKilled(world, trial);
    } finally {
      await world.agent.restart({ state: 'kept' });
    }
    await world.mesh.untilCurrent(LIMIT_MS);
  },
};

/** Its application cannot connect meanwhile, so calls pause until it is ready. */
async function callerKilled(world: ConsulWorld, trial: Trial): Promise<void> {
  world.load.pause();
  await delay(200);
  await world.mesh.caller.end('killed');
  await world.mesh.caller.start();
  trial.within('a caller that was killed is ready', READY_MS, await world.mesh.caller.untilReady());
  await world.load.stop();
  world.load = await world.mesh.startLoad();
  const fromMs = performance.now();
  await delay(trial.pick(500, 5_000));
  const calls = await world.load.between(fromMs);
  trial.noneFailed('and no call through it fails', calls);
  trial.figure('calls after the restart of the caller', String(summarize(calls).sent));
}

export const restartWithoutKeys: Row<ConsulWorld> = {
  name: 'restart-without-keys',
  fault: 'a replica is restarted while Consul is away, and keeps no keys',
  async run(world, trial) {
    const replica = world.mesh.replicas[1]!;
    await trial.unharmed(world.load, async () => {
      await whileKilled(world.agent, async () => {
        await replica.end('drained');
        await replica.start();
        await delay(trial.pick(500, 10_000));
        const { status, text } = await replica.readiness();
        const why = /certificate|identity|leaf|Consul/i.test(text);
        trial.expect('it is not ready, and says why', status === 503 && why, `${status} ${text.trim()}`);
      });
      trial.within('it is ready once Consul is back,', READY_MS, await replica.untilReady(LIMIT_MS));
      await serves(trial, replica, 'and serves');
      await world.mesh.untilCurrent(LIMIT_MS);
    });
  },
};

async function serves(trial: Trial, replica: SidecarNode, promise: string): Promise<void> {
  const served = { direction: 'inbound', status: 'OK' };
  const answered = () => replica.process.metric('outrider_calls_total', served);
  const before = await answered();
  const tookMs = await measure(async () => (await answered()) > before, LIMIT_MS);
  trial.within(promise, READY_MS, tookMs);
}
