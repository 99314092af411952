/** What must hold of a mesh whose replicas and intentions come from Consul. */
import type { FaultKind, FaultPlan, Plan } from '../plan/plan.js';
import type { CallRecord } from '../world/records.js';
import type { World } from '../world/world.js';
import { isHarm } from './harm.js';

const PERMISSION_DENIED = 7;
/** What Consul says is in force by then, ms: a read is made a second at most, and intentions are read in three steps. */
const BOUND_MS = 3_000;
/** A model hears by then that a call has ended for it, ms. */
const ENDED_MS = BOUND_MS + 1_000;
/** A sidecar that could not read Consul asks again within 30 s, and reads what is new within the bound. */
const RETRY_MS = 31_000 + BOUND_MS;
/** Faults through which nobody may hear what Consul has to say. */
const DEAF: readonly FaultKind[] = [
  ...['consul-away', 'consul-hangs', 'consul-cut-off', 'consul-lags', 'consul-breaks'],
  ...['consul-no-leader', 'consul-no-rights', 'consul-loses-state'],
  ...['freeze-caller', 'freeze-sidecar', 'kill-sidecar', 'drain', 'takeover'],
] as FaultKind[];
/** What else may take a replica out of use, so that one in maintenance is used after all. */
const JUDGED = [
  ...['attempt-timeout', 'first-message-timeout', 'deadlines', 'overload', 'short-queue', 'little-memory'],
  ...['few-streams', 'own-errors', 'slow-readers', 'stopped-readers', 'cancels', 'breaker', 'idle-timeout'],
];

/** The same where answers are slow: each of these steps waits for one, and for the one that is under way. */
function boundMs({ faults }: Plan): number {
  const slow = faults.filter(({ kind }) => kind === 'consul-slow');
  // Where changes are told at once, what has changed and the default are read after it, one after the other.
  const steps = slow.map(({ amount, isQuickToTell }) => (isQuickToTell === true ? 2 : 6) * amount);
  return BOUND_MS + Math.max(0, ...steps);
}

/** From when on a denial stays. */
function deniedMs({ atMs, amount }: FaultPlan): number {
  return atMs + 2 * amount;
}

/** From when on it is over for good. */
function allowedMs({ untilMs, amount }: FaultPlan): number {
  return untilMs + 2 * amount;
}

export function judgeConsul(world: World): void {
  const { plan } = world;
  if (plan.consul === undefined) return;
  for (const fault of plan.faults) {
    if (fault.kind === 'deregister' || fault.kind === 'maintenance') judgeRemoved(world, fault);
    if (fault.kind !== 'deny-intention') continue;
    judgeDenied(world, fault);
    judgeEnded(world, fault);
  }
  judgeAllowed(world);
  judgeRead(world);
}

/** Whether everybody hears of what is new between these times. */
function isHeard(plan: Plan, fromMs: number, toMs: number): boolean {
  return !plan.faults.some(
    ({ kind, atMs, untilMs }) => DEAF.includes(kind) && atMs <= toMs && untilMs + RETRY_MS >= fromMs,
  );
}

/** A replica that is no longer registered, or in maintenance, gets no call that begins later. */
function judgeRemoved(world: World, { kind, atMs, untilMs, target }: FaultPlan): void {
  const { plan } = world;
  // A sidecar that registers itself does so again at once.
  if (kind === 'deregister' && plan.consul!.entries.length === 0) return;
  if (!isHeard(plan, atMs, untilMs)) return;
  if (plan.faults.some((each) => isHarm(plan, each) || each.kind === 'drain' || each.kind === 'takeover'))
    return;
  if (kind === 'maintenance' && plan.features.some((each) => JUDGED.includes(each))) return;
  const overMs = kind === 'maintenance' ? Math.min(untilMs, deregisteredMs(plan, target, atMs)) : untilMs;
  for (const { plan: call, executions } of world.records) {
    if (call.atMs < atMs + boundMs(plan) || call.atMs >= overMs) continue;
    if (executions.some(({ replica }) => replica === target))
      world.find('registry', `call ${call.id} went to ${target}, which Consul had taken out (${kind})`, [
        call.id,
      ]);
  }
}

/** With its registration a replica loses its maintenance: Consul deletes the checks of a service with it. */
function deregisteredMs({ faults }: Plan, replica: string, sinceMs: number): number {
  const later = faults.filter(
    ({ kind, target, atMs }) => kind === 'deregister' && target === replica && atMs >= sinceMs,
  );
  return Math.min(Number.POSITIVE_INFINITY, ...later.map(({ atMs }) => atMs));
}

/** A caller that is denied has no call done. */
function judgeDenied(world: World, fault: FaultPlan): void {
  const { atMs, untilMs, target } = fault;
  const { plan } = world;
  if (!isHeard(plan, atMs, untilMs)) return;
  const fromMs = deniedMs(fault) + boundMs(plan);
  for (const record of world.records) {
    const { plan: call, executions } = record;
    if (plan.callers[call.caller]!.name !== target) continue;
    if (call.atMs < fromMs || call.atMs >= untilMs) continue;
    // One that begins just before the end of the denial may arrive after it.
    const done = executions.filter(
      ({ replica, startMs }) =>
        startMs < world.originMs + untilMs &&
        plan.replicas.some(({ name, service }) => name === replica && service === plan.consul!.destination),
    );
    if (done.length > 0)
      world.find('intentions', `call ${call.id} was done at ${done[0]!.replica}, and its caller is denied`, [
        call.id,
      ]);
  }
}

/** Calls of a caller that is denied end, also those that had begun before. */
function judgeEnded(world: World, fault: FaultPlan): void {
  const { atMs, untilMs, target } = fault;
  const { plan, originMs } = world;
  const byMs = deniedMs(fault) + boundMs(plan) + ENDED_MS - BOUND_MS;
  if (untilMs < byMs || !isHeard(plan, atMs, untilMs)) return;
  for (const { plan: call, executions } of world.records) {
    if (plan.callers[call.caller]!.name !== target || call.atMs > atMs) continue;
    const going = executions.find(
      ({ replica, startMs, endMs }) =>
        startMs < originMs + atMs &&
        (endMs < 0 || endMs > originMs + byMs) &&
        plan.replicas.some(({ name, service }) => name === replica && service === plan.consul!.destination),
    );
    if (going !== undefined)
      world.find('intentions', `call ${call.id} went on at ${going.replica}, and its caller is denied`, [
        call.id,
      ]);
  }
}

/** A caller is denied only where it may be. A request that models have died of is refused by the same status, and judged with the ends of calls. */
function judgeAllowed(world: World): void {
  for (const record of world.records)
    if (record.status === PERMISSION_DENIED && record.reason !== 'poison' && !mayBeDenied(world, record))
      world.find(
        'intentions',
        `call ${record.plan.id} was denied (${record.message}), and its caller is allowed`,
        [record.plan.id],
      );
}

export function mayBeDenied({ plan, nowMs }: World, { plan: call, startMs, endMs }: CallRecord): boolean {
  const toMs = endMs < 0 ? nowMs : call.atMs + endMs - startMs;
  return plan.faults.some((fault) => {
    const { kind, target, atMs, untilMs } = fault;
    if (kind === 'kill-sidecar' && plan.consul !== undefined && !isHeard(plan, atMs, toMs))
      // A sidecar that starts and cannot read the intentions denies.
      return atMs <= toMs;
    if (kind !== 'deny-intention' || plan.callers[call.caller]!.name !== target) return false;
    const heardMs = isHeard(plan, atMs, untilMs + RETRY_MS)
      ? 0
      : RETRY_MS + lastDeafMs(plan) - allowedMs(fault);
    return atMs <= toMs && allowedMs(fault) + Math.max(boundMs(plan), heardMs) >= call.atMs;
  });
}

function lastDeafMs({ faults }: Plan): number {
  return Math.max(0, ...faults.filter(({ kind }) => DEAF.includes(kind)).map(({ untilMs }) => untilMs));
}

/** At rest each sidecar reads Consul, is registered where it has to be, and knows the replicas that there are. */
function judgeRead(world: World): void {
  const { plan, consul } = world;
  for (const { name, insides, process } of world.sidecars) {
    if (insides === undefined || process.isDead) continue;
    const report = insides.consul?.report();
    if (report === undefined) {
      world.find('registry', `${name} has no Consul`);
      continue;
    }
    for (const query of report.queries)
      if (query.state !== 'current')
        world.find('registry', `${name}: ${query.name} is ${query.state} at rest: ${query.problem ?? ''}`);
    if (report.registered === false) world.find('registry', `${name} is not registered at rest`);
    for (const { name: upstream, clusters } of insides.outbound.upstreams) {
      const known = clusters.flatMap(({ endpoints }) => endpoints.map(({ label }) => label)).sort();
      const there = [...consul!.servers.tables.services.values()]
        .filter(({ destination }) => destination === upstream)
        .map(({ content }) => `${String(content['Address'])}:${String(content['Port'])}`)
        .sort();
      if (`${known}` !== `${there}`)
        world.find('registry', `${name}: ${upstream} has ${known}, and Consul has ${there} at rest`);
      const registered = plan.replicas.filter(({ service }) => service === upstream).length;
      if (there.length !== registered)
        world.find('registry', `Consul has ${there.length} of ${registered} replicas of ${upstream} at rest`);
    }
  }
}
