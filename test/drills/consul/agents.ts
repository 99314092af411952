/** Rows: agents and servers that die and come back. */

import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../../kit/process/processes.js';
import type { Row, Trial } from '../faults/row.js';
import { measure, seconds } from '../faults/times.js';
import { busiestQueryOf } from './query-counts.js';
import { areCurrent, problemsOf } from './sidecar-node.js';
import { type ConsulWorld, SERVICE, sameAgain, whileKilled } from './world.js';

/** After the agent's return, until every sidecar has everything from it again. */
const RETURN_MS = 5_000;
const RETURN_LIMIT_MS = 40_000;
const FIRST_SECOND = 3;
const FULL_OUTAGE_MS = 60_000;

export const agentKilled: Row<ConsulWorld> = {
  name: 'agent-killed',
  fault: 'the agent is killed, and comes back with its state',
  async run(world, trial) {
    const outageMs = trial.pick(1_500, FULL_OUTAGE_MS);
    await trial.unharmed(world.load, async () => {
      await whileKilled(world.agent, async () => {
        await delay(outageMs);
        const up = await Promise.all(world.nodes.map((node) => node.process.metric('outrider_consul_up')));
        trial.every('meanwhile every sidecar says so (outrider_consul_up 0)', up, (value) => value === 0);
        const ready = await Promise.all(world.nodes.map(async (node) => (await node.readiness()).status));
        trial.every('and stays ready', ready, (status) => status === 200);
      });
      await returned(world, trial, performance.now());
    });
    trial.figure('outage', seconds(outageMs));
  },
};

export const agentForgets: Row<ConsulWorld> = {
  name: 'agent-forgets',
  fault: 'the agent is restarted and has forgotten what was registered with it',
  async run(world, trial) {
    const isRegistered = await sameAgain(() => world.registered());
    const isShown = await sameAgain(() => world.peers(SERVICE));
    await trial.unharmed(world.load, async () => {
      await world.agent.restart({ state: 'forgotten', awaitLeader: false });
      const fromMs = performance.now();
      const tookMs = await measure(isRegistered, RETURN_LIMIT_MS, fromMs);
      trial.within('everything is registered again, once,', RETURN_MS, tookMs);
      const shownMs = await measure(isShown, RETURN_LIMIT_MS, fromMs);
      trial.within('and in the catalogue', RETURN_MS, shownMs);
      await returned(world, trial, fromMs);
    });
  },
};

export const leaderKilled: Row<ConsulWorld> = {
  name: 'leader-killed',
  fault: 'the leader of three servers is killed, and comes back as a follower',
  async run(world, trial) {
    const { cluster } = world;
    const leader = await cluster.leader();
    await trial.unharmed(world.load, async () => {
      const fromMs = performance.now();
      await whileKilled(leader, async () => {
        await cluster.leader();
        trial.figure('another leader after', seconds(performance.now() - fromMs));
        await delay(trial.pick(0, 10_000));
      });
      await returned(world, trial, performance.now());
    });
    await cluster.leader();
  },
};

async function returned(world: ConsulWorld, trial: Trial, fromMs: number): Promise<void> {
  const tookMs = await measure(() => areCurrent(world.nodes), RETURN_LIMIT_MS, fromMs);
  trial.within('every sidecar reads from Consul again', RETURN_MS, tookMs);
  if (tookMs === undefined) throw new Error(await problemsOf(world.nodes));
  const { query, reads } = busiestQueryOf(world.nodes, fromMs, fromMs + 1_000);
  const promise = `no query is read more than ${FIRST_SECOND} times in the first second`;
  trial.expect(promise, reads <= FIRST_SECOND, `${reads} reads of ${query}`);
  // The next row wants an agent whose own links are up again.
  await until('the agent has a leader', () => world.agent.ready().then(() => true));
}
