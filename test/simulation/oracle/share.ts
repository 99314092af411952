/** Work goes where there is room: no healthy replica is left out, and none is taken out without a reason. */
import { EjectionState } from '../../../sidecar/core/outlier/ejection.js';
import { isConsulFault, type Plan } from '../plan/plan.js';
import type { Execution } from '../world/records.js';
import type { Watch, World } from '../world/world.js';

/** Calls that others may get in a row while a healthy replica has room. */
const MOST_PICKS_WITHOUT = 100;
const LOOK_MS = 50;

/** Features under which an endpoint may be judged by time, or by refusals that are right. */
const JUDGED_BY_TIME = [
  ...['attempt-timeout', 'first-message-timeout', 'deadlines', 'overload', 'short-queue', 'little-memory'],
  ...['few-streams', 'own-errors', 'slow-readers', 'stopped-readers', 'cancels', 'breaker', 'idle-timeout'],
];

/** In a run without faults, in which nothing is judged by time, no endpoint is ejected. */
export const ejections: Watch = {
  everyMs: LOOK_MS,
  look(world) {
    const { plan } = world;
    if (!isCalm(plan) || plan.features.some((each) => JUDGED_BY_TIME.includes(each))) return;
    for (const { name, insides } of world.sidecars)
      for (const { clusters, name: upstream } of insides?.outbound.outbounds ?? [])
        for (const { ejection, label } of clusters.flatMap(({ endpoints }) => endpoints))
          if (ejection.state !== EjectionState.admitted)
            world.findOnce(
              'ejection-has-evidence',
              `${name}: ${upstream} ${label} is ejected, and nothing was wrong with it`,
            );
  },
};

export function isCalm({ faults }: Plan): boolean {
  return faults.every(({ kind }) => kind === 'reload' || isConsulFault(kind));
}

/** What Consul says of a replica decides on its share. */
const OF_SHARES = ['flapping-check', 'deregister', 'maintenance', 'consul-loses-state', 'deny-intention'];

/** How many calls others got while a replica had room for one more. */
export function judgeShares(world: World): void {
  const { plan } = world;
  if (plan.faults.some(({ kind }) => OF_SHARES.includes(kind))) return;
  if (!isCalm(plan) || ['ring-hash', ...JUDGED_BY_TIME].some((each) => plan.features.includes(each))) return;
  for (const service of new Set(plan.replicas.map((each) => each.service))) {
    const replicas = plan.replicas.filter((each) => each.service === service);
    for (let caller = 0; caller < plan.callers.length; caller++) {
      const runs = world.records
        .filter(({ plan: call }) => call.caller === caller)
        .flatMap(({ executions }) => executions)
        .filter(({ replica }) => replicas.some(({ name }) => name === replica));
      for (const replica of replicas)
        starving(world, `${plan.callers[caller]!.name} of ${replica.name}`, runs, replica);
    }
  }
}

function starving(
  world: World,
  which: string,
  runs: readonly Execution[],
  replica: { readonly name: string; readonly parallel: number },
): void {
  const all = world.records
    .flatMap(({ executions }) => executions)
    .filter((each) => each.replica === replica.name);
  let without = 0;
  let most = 0;
  for (const run of [...runs].sort((a, b) => a.startMs - b.startMs)) {
    if (run.replica === replica.name) without = 0;
    else if (busyAt(all, run.startMs) < replica.parallel) without++;
    most = Math.max(most, without);
  }
  if (most >= MOST_PICKS_WITHOUT)
    world.find('shares', `${which}: ${most} calls in a row went to others while it had room`);
}

function busyAt(runs: readonly Execution[], atMs: number): number {
  return runs.filter(({ startMs, endMs }) => startMs <= atMs && (endMs < 0 || endMs > atMs)).length;
}
