/**
 * Rows: instances that do not register themselves, so that no sidecar corrects what an operator or a broken registry says
 * of them.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../../kit/process/processes.js';
import type { Load } from '../faults/load.js';
import type { Row, Trial } from '../faults/row.js';
import { measure, seconds } from '../faults/times.js';
import type { ConsulMesh } from './mesh.js';
import { untilServed } from './refusals.js';
import type { SidecarNode } from './sidecar-node.js';
import { type ConsulWorld, FOREIGN_SERVICE } from './world.js';

const NOTICE_MS = 2_000;
/** A sidecar reads once a second when changes have used up its burst. */
const REFILL_MS = 1_100;
const NO_ENDPOINT = 'UNAVAILABLE no-endpoint';

/** What a row has of its world. */
interface ForeignScene {
  readonly mesh: ConsulMesh;
  readonly load: Load;
  readonly graceMs: number;
}

export const replicaDeregistered: Row<ConsulWorld> = {
  name: 'replica-deregistered',
  fault: 'one of two instances is deregistered, and still answers',
  run: (world, trial) =>
    withForeignInstances(world, trial, async ({ mesh, load }) => {
      const [gone] = mesh.replicas;
      await trial.unharmed(load, async () => {
        await deregister(world, gone!);
        const quietMs = trial.pick(300, 5_000);
        await delay(1_000);
        const before = await answered(gone!);
        await delay(quietMs);
        const more = (await answered(gone!)) - before;
        trial.none('after 1 s it gets no call', more, `in the ${seconds(quietMs)} that followed`);
      });
    }),
};

export const allCritical: Row<ConsulWorld> = {
  name: 'all-critical',
  fault: 'every check turns critical at once while the instances answer, for longer than the grace time',
  run: (world, trial) =>
    withForeignInstances(world, trial, async ({ mesh, load, graceMs }) => {
      await trial.unharmed(load, async () => {
        for (const { name } of mesh.replicas)
          await world.agent.api('PUT', `/agent/check/fail/${checkOf(name)}`);
        await delay(graceMs + trial.pick(500, 5_000));
        const path = `/health/connect/${FOREIGN_SERVICE}?passing`;
        const passing = await world.agent.api<unknown[]>('GET', path);
        trial.expect('Consul has no passing instance', passing.length === 0, String(passing.length));
      });
    }),
};

export const allDeregistered: Row<ConsulWorld> = {
  name: 'foreign-emptied',
  fault: 'every instance is deregistered while all answer, for longer than the grace time',
  run: (world, trial) => withForeignInstances(world, trial, (scene) => emptied(world, trial, scene)),
};

/** With both instances registered and load on them. */
async function withForeignInstances(
  world: ConsulWorld,
  trial: Trial,
  work: (scene: ForeignScene) => Promise<void>,
): Promise<void> {
  const graceMs = trial.pick(1_000, 30_000);
  const mesh = await world.foreignMesh(graceMs);
  for (const replica of mesh.replicas) await register(world, replica);
  const load = await mesh.startLoad();
  await settled(mesh);
  try {
    await work({ mesh, load, graceMs });
  } finally {
    await load.stop();
    for (const replica of mesh.replicas) await deregister(world, replica).catch(() => {});
  }
}

/** Until the caller knows and uses both instances, and may read again at once when something changes. */
async function settled({ caller, replicas }: ConsulMesh): Promise<void> {
  await until('the caller uses every instance', async () => {
    const { endpoints } = await caller.status();
    const eligible = endpoints.filter(({ state, why }) => state === 'eligible' && why === '');
    return eligible.length === replicas.length && endpoints.length === replicas.length;
  });
  await delay(REFILL_MS);
}

async function emptied(world: ConsulWorld, trial: Trial, scene: ForeignScene): Promise<void> {
  const { mesh, load, graceMs } = scene;
  let goneMs = 0;
  let backMs = 0;
  const calls = await trial.under(load, async () => {
    for (const replica of mesh.replicas) await deregister(world, replica);
    goneMs = performance.now();
    await delay(graceMs);
    await measure(() => load.since(goneMs).failed > 0, NOTICE_MS + 500);
    await delay(trial.pick(200, 3_000));
    for (const replica of mesh.replicas) await register(world, replica);
    backMs = performance.now();
    await measure(() => load.since(backMs).ok > 0, NOTICE_MS + 500);
    await delay(trial.pick(200, 3_000));
  });
  const grace = seconds(graceMs);
  const failed = calls.filter(({ failure }) => failure !== undefined);
  trial.noneFailed(
    `no call fails for the grace time of ${grace}`,
    calls.filter(({ startMs }) => startMs <= goneMs + graceMs),
  );
  const honouredMs = failed[0] && failed[0].startMs - goneMs - graceMs;
  trial.within('then the registry is honoured, and calls are refused,', NOTICE_MS, honouredMs);
  const odd = [...new Set(failed.map(({ failure }) => failure!))].filter((what) => what !== NO_ENDPOINT);
  trial.expect(`with ${NO_ENDPOINT} only`, odd.length === 0, odd.join(', ') || 'no other');
  trial.within('registered again, they get every call', NOTICE_MS, untilServed(calls, backMs));
  trial.figure('grace', grace);
}

const checkOf = (name: string): string => `${name}:operator`;

/** Enters a replica into the catalogue, as an operator might. */
async function register(world: ConsulWorld, { name, plan }: SidecarNode): Promise<void> {
  await world.agent.api('PUT', '/agent/service/register', {
    ID: name,
    Name: `${plan.service}-sidecar-proxy`,
    Kind: 'connect-proxy',
    Address: '127.0.0.1',
    Port: plan.inboundPort,
    Proxy: { DestinationServiceName: plan.service },
    Checks: [{ CheckID: checkOf(name), Name: 'by hand', TTL: '1h', Status: 'passing' }],
  });
}

async function deregister(world: ConsulWorld, { name }: SidecarNode): Promise<void> {
  await world.agent.api('PUT', `/agent/service/deregister/${name}`);
}

/** Calls that a replica's sidecar has let in so far. */
function answered({ process }: SidecarNode): Promise<number> {
  return process.metric('outrider_calls_total', { direction: 'inbound' });
}
