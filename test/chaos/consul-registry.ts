/** Rows: somebody empties the registry while everything runs. */

import { setTimeout as delay } from 'node:timers/promises';
import { areCurrent, type Seat, untilCurrent } from './consul-seat.js';
import { type ConsulWorld, SERVICE } from './consul-world.js';
import type { SentCall } from './faults-load.js';
import { measure, type Row, seconds, type Trial } from './faults-row.js';

/** Sidecars look after their entries at least this often. */
const AGAIN_MS = 17_000;
const NOTICE_MS = 2_000;
const LIMIT_MS = 30_000;

export const agentEmptied: Row<ConsulWorld> = {
  name: 'agent-emptied',
  fault: 'an operator deregisters every service at the agent',
  async run(world, trial) {
    const before = await world.registered();
    await trial.unharmed(world.load, async () => {
      for (const id of before) await world.agent.api('PUT', `/agent/service/deregister/${id}`);
      const again = async () => String(await world.registered()) === String(before);
      trial.within('every service is registered again, once,', AGAIN_MS, await measure(again, LIMIT_MS));
      await untilCurrent(world.seats);
    });
  },
};

export const catalogueEmptied: Row<ConsulWorld> = {
  name: 'catalogue-emptied',
  fault: "an operator removes the node from the servers' catalogue; its agent does not notice",
  async run(world, trial) {
    const { agent } = world;
    const before = await world.peers(SERVICE);
    await trial.unharmed(world.load, async () => {
      const { Config } = await agent.api<{ Config: { NodeName: string } }>('GET', '/agent/self');
      await agent.api('PUT', '/catalog/deregister', { Node: Config.NodeName });
      const left = await world.peers(SERVICE);
      trial.expect('the catalogue is empty', left.length === 0, `${left.length} instances`);
      await delay(trial.pick(1_000, 30_000));
      // An agent tells the servers all it knows when it starts.
      await agent.restart({ state: 'kept' });
      const back = async () => String(await world.peers(SERVICE).catch(() => [])) === String(before);
      const backMs = await measure(back, LIMIT_MS);
      trial.within("after the agent's restart everything is in the catalogue", 5_000, backMs);
      await measure(() => areCurrent(world.seats), LIMIT_MS);
    });
  },
};

const STRANGER = 'vision';
const STRANGER_CALLER = 'viewer';

/** Sidecars that do not register themselves, so nobody registers them again. */
export const strangersEmptied: Row<ConsulWorld> = {
  name: 'strangers-emptied',
  fault: 'instances that somebody else registered are deregistered while they answer',
  async run(world, trial) {
    const graceMs = trial.pick(2_500, 30_000);
    const consul = { registration: 'none', grace: `${graceMs}ms` };
    await world.intend(STRANGER_CALLER, STRANGER, 'allow');
    const { replicas, caller } = await world.mesh(STRANGER, STRANGER_CALLER, consul);
    try {
      for (const replica of replicas) await announce(world, replica);
      await emptied(world, trial, { replicas, caller, graceMs });
    } finally {
      await Promise.all([...replicas, caller].map((seat) => seat.close()));
      for (const { name } of replicas)
        await world.agent.api('PUT', `/agent/service/deregister/${name}`).catch(() => {});
    }
  },
};

interface Strangers {
  readonly replicas: readonly Seat[];
  readonly caller: Seat;
  readonly graceMs: number;
}

async function emptied(world: ConsulWorld, trial: Trial, { replicas, caller, graceMs }: Strangers) {
  const load = await world.startLoad(caller, STRANGER);
  let goneMs = 0;
  let backMs = 0;
  try {
    const calls = await trial.under(load, async () => {
      for (const { name } of replicas) await world.agent.api('PUT', `/agent/service/deregister/${name}`);
      goneMs = performance.now();
      await delay(graceMs + NOTICE_MS);
      for (const replica of replicas) await announce(world, replica);
      backMs = performance.now();
      await delay(NOTICE_MS);
    });
    judge(trial, calls, { goneMs, backMs, graceMs });
  } finally {
    await load.stop();
  }
}

interface Times {
  readonly goneMs: number;
  readonly backMs: number;
  readonly graceMs: number;
}

function judge(trial: Trial, calls: readonly SentCall[], { goneMs, backMs, graceMs }: Times): void {
  const grace = seconds(graceMs);
  const failed = calls.filter(({ failure }) => failure !== undefined);
  // The answer that takes them away is a moment younger than the deregistration.
  trial.noneFailed(`no call fails for the grace time of ${grace}`, sentIn(calls, 0, goneMs + graceMs));
  const first = failed[0];
  const honouredMs = first === undefined ? undefined : first.sentMs - goneMs - graceMs;
  trial.within('then the registry is honoured, and calls are refused,', NOTICE_MS, honouredMs);
  const odd = [...new Set(failed.map(({ failure }) => failure!))].filter((what) => what !== NO_ENDPOINT);
  trial.expect(`with ${NO_ENDPOINT} only`, odd.length === 0, odd.length === 0 ? 'no other' : odd.join(', '));
  const last = failed.at(-1);
  const healedMs = last === undefined ? 0 : Math.max(0, last.sentMs - backMs);
  trial.within('registered again, they get calls', NOTICE_MS, healedMs);
  trial.figure('grace', grace);
}

const NO_ENDPOINT = 'UNAVAILABLE no-endpoint';

function sentIn(calls: readonly SentCall[], fromMs: number, toMs: number): SentCall[] {
  return calls.filter(({ sentMs }) => sentMs >= fromMs && sentMs <= toMs);
}

async function announce(world: ConsulWorld, { name, plan }: Seat): Promise<void> {
  await world.agent.api('PUT', '/agent/service/register', {
    ID: name,
    Name: `${plan.service}-sidecar-proxy`,
    Kind: 'connect-proxy',
    Address: '127.0.0.1',
    Port: plan.inboundPort,
    Proxy: { DestinationServiceName: plan.service },
  });
}
