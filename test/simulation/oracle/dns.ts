/** What must hold where replicas are found by DNS. */
import { DNS_FAULTS, type FaultKind, fewNameOf, type Plan } from '../plan/plan.js';
import type { CallRecord } from '../world/records.js';
import type { World } from '../world/world.js';
import { replicasOf } from './evidence.js';
import { upstreamsOf } from './harm.js';

/** The longest period of the plans, by a tenth more, and the time of an answer, ms. */
const BOUND_MS = 3_500;
/** With fewer replicas one is most of them, and is kept while it answers. */
const LEAST = 4;

export function judgeDns(world: World): void {
  const { plan } = world;
  if (!plan.features.includes('dns')) return;
  judgeOtherName(world);
  if (plan.faults.some(({ kind }) => kind === 'reload')) return;
  for (const { name, insides, process } of world.sidecars) {
    if (insides === undefined || process.isDead) continue;
    for (const { name: upstream, clusters } of insides.outbound.upstreams) {
      const known = clusters.flatMap(({ endpoints }) => endpoints.map(({ label }) => label)).sort();
      const there = replicasOf(plan, upstream)
        .map((replica) => listenOf(plan, replica))
        .sort();
      if (`${known}` !== `${there}`)
        world.find('registry', `${name}: ${upstream} has ${known} at rest, and DNS has ${there}`);
    }
  }
  judgeLost(world);
}

/** After a reload to another name calls go to what that has, once it has been answered. */
function judgeOtherName(world: World): void {
  const { plan, records, originMs } = world;
  const { faults, replicas, callers } = plan;
  const trouble: readonly FaultKind[] = [...DNS_FAULTS, 'freeze-caller', 'kill-sidecar'];
  if (faults.some(({ kind }) => trouble.includes(kind))) return;
  const { service } = replicas[0]!;
  for (const fault of faults) {
    const { kind, target, atMs, file } = fault;
    if (kind !== 'reload' || upstreamsOf(file)[service]?.dns?.name !== fewNameOf(service)) continue;
    // Also one at the same moment: either file may be the last.
    const next = faults.find(
      (each) => each !== fault && each.kind === 'reload' && each.target === target && each.atMs >= atMs,
    );
    const untilMs = next?.atMs ?? Number.POSITIVE_INFINITY;
    const late = records.find(
      ({ plan: call, executions }) =>
        callers[call.caller]!.name === target &&
        call.atMs > atMs + BOUND_MS &&
        executions.some(
          ({ replica, startMs }) =>
            startMs < originMs + untilMs &&
            replica !== replicas[0]!.name &&
            replicasOf(plan, service).includes(replica),
        ),
    );
    if (late !== undefined)
      world.find(
        'registry',
        `call ${late.plan.id} went by the name of before, which ${target} asks for no more`,
        [late.plan.id],
      );
  }
}

/** A replica that has left the answers gets no new call. */
function judgeLost(world: World): void {
  const { plan, records } = world;
  const others = plan.faults.filter(({ kind }) => kind === 'dns-fails' || kind === 'dns-empty');
  if (others.length > 0 || plan.faults.some(({ kind }) => kind === 'freeze-caller')) return;
  for (const { kind, target, atMs, untilMs } of plan.faults) {
    if (kind !== 'dns-loses') continue;
    const { service } = plan.replicas.find(({ name }) => name === target)!;
    if (replicasOf(plan, service).length < LEAST) continue;
    const late = records.find(
      ({ plan: call, executions }) =>
        call.atMs > atMs + BOUND_MS &&
        call.atMs < untilMs &&
        executions.some(({ replica }) => replica === target),
    );
    if (late !== undefined)
      world.find('registry', `call ${late.plan.id} went to ${target}, which DNS had left out`);
  }
}

function listenOf({ replicas }: Plan, replica: string): string {
  const { file } = replicas.find(({ name }) => name === replica)!;
  return (file as { inbound: { listen: string } }).inbound.listen;
}

/** The name of its upstream may have had no address: that of one replica, which the name servers left out when a reload asked for it first. */
export function mayHaveNoAddress({ plan }: World, { plan: call }: CallRecord): boolean {
  const { faults, callers } = plan;
  const { name } = callers[call.caller]!;
  const reload = faults.find(
    ({ kind, target, file, atMs }) =>
      kind === 'reload' &&
      target === name &&
      atMs <= call.atMs &&
      upstreamsOf(file)[call.upstream]?.dns?.name === fewNameOf(call.upstream),
  );
  if (reload === undefined) return false;
  return faults.some(
    ({ kind, atMs, untilMs }) =>
      kind === 'dns-loses' && atMs <= call.atMs && call.atMs <= Math.max(untilMs, reload.atMs) + 2 * BOUND_MS,
  );
}
