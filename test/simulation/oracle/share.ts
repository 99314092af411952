/** Work goes where there is room: no healthy replica is left out, and none is taken out without a reason. */
import { EjectionState } from '../../../sidecar/core/outlier/ejection.js';
import { COLLECTOR_FAULTS, DISK_FAULTS, type FaultKind, type Plan } from '../plan/plan.js';
import type { Watch, World } from '../world/world.js';
import { mayBeForRequests } from './common-failures.js';
import { addressOf, arrivalOf, type Evidence, isGood, replicasOf } from './evidence.js';

/** Calls that others may get in a row while a healthy replica has room. */
const MOST_PICKS_WITHOUT = 100;
/** One that is slower gets them so many times as seldom, and not more (`MOST_STARVED` of core/balancing/least-loaded.ts). */
const MOST_SLOWER = 16;
const LOOK_MS = 50;

/** Features under which a call may go past a replica that has room. */
const SHARED_OTHERWISE = [
  ...['ring-hash', 'overload', 'little-memory', 'few-streams', 'breaker'],
  ...['fewer-endpoints', 'weights', 'foresight', 'zones', 'other-reports'],
];

const DISCONNECTS: readonly FaultKind[] = [
  ...(['kill-sidecar', 'freeze-sidecar', 'break-connection', 'stall-connection', 'partition'] as const),
  ...(['drain', 'takeover', 'identity-expires', 'roots-change'] as const),
];

/** Notes when an endpoint is ejected: the history says later whether there was a reason. */
export function ejections(): Watch {
  /** Ejections of endpoints that were admitted at the last look, and no other one beside them. */
  let lastOnes = new Set<object>();
  return {
    everyMs: LOOK_MS,
    look(world) {
      const before = lastOnes;
      lastOnes = new Set();
      const isSteady = isConnectedThroughout(world.plan);
      for (const { name, insides } of world.sidecars)
        for (const { clusters } of insides?.outbound.upstreams ?? [])
          for (const { endpoints } of clusters)
            for (const { ejection, label } of endpoints) {
              const isAlone = !endpoints.some(
                ({ ejection: other }) =>
                  other !== ejection &&
                  (!isSteady || (other.state === EjectionState.admitted && other.isAvailable)),
              );
              if (ejection.state === EjectionState.admitted) {
                world.admitted(name, label);
                if (isAlone) lastOnes.add(ejection);
                continue;
              }
              world.ejected(name, label, ejection.why);
              if (isAlone && before.has(ejection))
                world.find(
                  'ejection-has-evidence',
                  `${name}: ${label} is ejected, and there is no other one`,
                );
            }
    },
  };
}

/** No replica connects or goes away between two looks, unless discovery says so. */
function isConnectedThroughout({ faults, features }: Plan): boolean {
  return !faults.some(({ kind }) => DISCONNECTS.includes(kind)) && !features.includes('max-age');
}

/** An ejection is over after this, by the files of the plans and with their jitter, ms; a call that could be better asked is waited for. */
const LONGEST_EJECTION_MS = 20_000;
/** Of so many calls one shows how an ejected replica is. */
const SHOWING_CALLS = 6;

/** Long after all faults calls have shown that each replica is well: none is ejected any more. */
export function judgeReadmissions(world: World, evidence: Evidence): void {
  const { plan, records } = world;
  if (plan.rollout !== undefined || plan.features.includes('weights')) return;
  for (const { name, insides, process } of world.sidecars) {
    const last = records.filter(
      ({ plan: call, status }) =>
        call.isLast === true && plan.callers[call.caller]!.name === name && status === 0,
    );
    const atMs = last.at(-SHOWING_CALLS)?.startMs;
    if (insides === undefined || process.isDead || atMs === undefined) continue;
    for (const { name: upstream, clusters } of insides.outbound.upstreams)
      for (const { ejection, label } of clusters.flatMap(({ endpoints }) => endpoints)) {
        if (ejection.state === EjectionState.admitted || upstream !== last[0]!.plan.upstream) continue;
        const replica = plan.replicas.find((each) => addressOf(plan, each.name) === label)?.name ?? '';
        if (ejection.sinceMs + LONGEST_EJECTION_MS >= atMs || !evidence.isUnharmed(replica, atMs)) continue;
        // A sidecar that drains may be away for longer than its fault.
        if (plan.faults.some(({ kind, target }) => kind === 'drain' && target === replica)) continue;
        const sinceMs = (ejection.sinceMs - world.beginMs).toFixed(0);
        const what = `is ejected since ${sinceMs} ms, and ${SHOWING_CALLS} calls or more could have shown that it is well`;
        world.find('ejection-has-evidence', `${name}: ${replica} ${what}`);
      }
  }
}

/** Of so many calls before its ejection, so many failed at least. */
const JUDGED_CALLS = 10;
const LEAST_BAD = 2;
/** Where it is ejected for faults in a row: of so many, so many failed at least, whatever order the oracle sees them in. */
const IN_A_ROW = { why: /^(\d+) faults in a row/, mayDiffer: 2 };
/** Where it is ejected for a share of the calls of a window: that share of so many failed, but for some at the window's ends. */
const OF_A_WINDOW = { why: /^success ratio ([\d.]+) over (\d+) calls/, leastShare: 0.7 };
/** Features by which a replica is judged by more than its last calls, or by calls that ran out of time before a model had them. */
const JUDGED_OTHERWISE = [
  'detectors',
  'deadlines',
  'attempt-timeout',
  'first-message-timeout',
  'idle-timeout',
  'overload',
  'bad-requests',
  'said-options',
];

/** What befalls one replica says nothing of another. */
const OF_OTHERS: readonly FaultKind[] = [
  ...(['failing-model', 'kill-model', 'slow-model', 'freeze-model', 'kill-sidecar'] as const),
  ...DISK_FAULTS,
  ...COLLECTOR_FAULTS,
];

/** Each ejection has its evidence in the history. */
export function judgeEjections(world: World, evidence: Evidence): void {
  const { plan, ejectionsSeen } = world;
  for (const { sidecar, label, atMs, why } of ejectionsSeen) {
    const replica = plan.replicas.find((each) => addressOf(plan, each.name) === label);
    if (replica === undefined) continue;
    const { name } = replica;
    if (evidence.isClean(name, atMs)) {
      if (!mayBeForRequests(world, evidence, name, { sidecar, label, atMs, why }))
        world.find(
          'ejection-has-evidence',
          `${sidecar}: ${name} is ejected ("${why}"), and nothing was wrong with it`,
        );
      continue;
    }
    const isFailingOnly = plan.faults.every(
      ({ kind, share, target }) =>
        kind === 'reload' ||
        (kind === 'failing-model' && share !== undefined) ||
        (target !== name && OF_OTHERS.includes(kind)),
    );
    if (!isFailingOnly || plan.features.some((each) => JUDGED_OTHERWISE.includes(each))) continue;
    const all = evidence
      .runsOf(name)
      .filter(
        ({ record, execution }) => plan.callers[record.plan.caller]?.name === sidecar && execution.endMs >= 0,
      )
      .filter(({ execution }) => execution.endMs <= atMs)
      .sort((a, b) => a.execution.endMs - b.execution.endMs);
    // No call has shown that it is well again since it was ejected: the first one that fails is enough.
    const before = ejectionsSeen.findLast(
      (each) => each.sidecar === sidecar && each.label === label && each.atMs < atMs,
    );
    const since = all.filter(({ execution }) => execution.startMs > (before?.atMs ?? atMs));
    if (since.length > 0 && !since.some(({ execution }) => isGood(execution))) continue;
    const own = all.slice(-JUDGED_CALLS);
    // Where the process has ended, the sidecar of the model says that it cannot serve: one such answer is enough.
    if (own.some(({ execution }) => execution.ended === 'killed')) continue;
    if (own.length < JUDGED_CALLS) continue;
    const { ofLast, least } = evidenceSaid(why);
    const bad = all.slice(-ofLast).filter(({ execution }) => !isGood(execution)).length;
    if (bad < least)
      world.find(
        'ejection-has-evidence',
        `${sidecar}: ${name} is ejected for ${bad} of its last ${ofLast} calls ("${why}")`,
      );
  }
}

/** Of how many of its last calls so many have failed, by what is said of the ejection. */
function evidenceSaid(why: string): { readonly ofLast: number; readonly least: number } {
  const inARow = Number(IN_A_ROW.why.exec(why)?.[1] ?? 0);
  if (inARow > 0) return { ofLast: inARow, least: inARow - IN_A_ROW.mayDiffer };
  const [, ratio, calls] = (OF_A_WINDOW.why.exec(why) ?? []).map(Number);
  if (ratio === undefined || calls === undefined) return { ofLast: JUDGED_CALLS, least: LEAST_BAD };
  return { ofLast: calls, least: Math.floor((1 - ratio) * calls * OF_A_WINDOW.leastShare) };
}

/** What Consul says of a replica decides on its share. */
const OF_SHARES = [
  'drain',
  'dns-empty',
  'dns-loses',
  'takeover',
  'flapping-check',
  'deregister',
  'maintenance',
  'consul-loses-state',
  'deny-intention',
];

/** A call that waits for so much longer than it runs, and for so long at least, ms, is kept from a replica that has room. */
const MOST_WAITS = 3;
const LEAST_WAIT_MS = 150;
/** A replica that is so many times as slow as another one may have room while calls wait there. */
const CLEARLY_SLOW = 3;
/** A caller knows what a replica has to do after this, ms. */
const KNOWN_MS = 50;
/** It hears of the calls of others within this time, ms. */
const TOLD_MS = 250;
/** Features under which a replica is chosen without regard to its load, or a call takes its time on the way. */
const WAITS_OTHERWISE = [
  ...['round-robin', 'short-queue', 'cold-start', 'split', 'adaptive', 'rate-limit', 'large-messages'],
  ...['small-kernels', 'tiny-windows', 'slow-links', 'odd-peers', 'slow-readers', 'stopped-readers'],
  ...['large-tokens', 'late-credit', 'pauses'],
];

function roomOf({ replicas }: Plan, replica: string): number {
  return replicas.find(({ name }) => name === replica)!.parallel;
}

/** Work conservation: no call waits at a replica while another one has room. */
export function judgeWaits(world: World, evidence: Evidence): void {
  const { plan } = world;
  if (plan.rollout !== undefined) return;
  if (plan.faults.some(({ kind }) => OF_SHARES.includes(kind))) return;
  if ([...SHARED_OTHERWISE, ...WAITS_OTHERWISE].some((each) => plan.features.includes(each))) return;
  for (const { plan: call, startMs, executions } of world.records) {
    const names = replicasOf(plan, call.upstream);
    const own = executions.find(({ replica }) => names.includes(replica));
    if (own === undefined || own.runStartMs < 0 || call.request.length > 1) continue;
    const { replica, runStartMs } = own;
    const waitedMs = runStartMs - startMs;
    if (
      waitedMs < Math.max(LEAST_WAIT_MS, MOST_WAITS * call.serviceMs) ||
      !evidence.isClean(replica, runStartMs)
    )
      continue;
    // A place was free there, by what its operator said of it, and by what the caller can have heard.
    const known = evidence.knownAt(replica, call.caller, startMs, TOLD_MS + KNOWN_MS);
    if (known < evidence.declaredOf(replica)) continue;
    const idle = names.find(
      (name) =>
        evidence.isClean(name, startMs) &&
        evidence.isClean(name, runStartMs) &&
        !isWarming(world, name, startMs) &&
        evidence.mostBusy(name, startMs - KNOWN_MS, runStartMs) < roomOf(plan, name) &&
        evidence.slowness(name, call.caller, startMs) < CLEARLY_SLOW,
    );
    if (idle === undefined) continue;
    const what = `waited ${waitedMs.toFixed(0)} ms at ${replica} for a run of ${call.serviceMs} ms, while ${idle} had room`;
    world.find('shares', `call ${call.id} ${call.path}: ${what}`, [call.id]);
  }
}

/** After an ejection a replica is out, and then in slow start, for so long at most, ms (`ejection.max` and `slow_start.max` of the plans, with jitter). */
const WARMING_MS = 30_000;

/** A replica in slow start gets its small share, whatever waits elsewhere. After a fault it is not clean for longer than that lasts. */
function isWarming({ plan, ejectionsSeen }: World, replica: string, atMs: number): boolean {
  if (!plan.features.includes('slow-start')) return false;
  const label = addressOf(plan, replica);
  return ejectionsSeen.some(
    (each) => each.label === label && each.atMs <= atMs && atMs <= each.atMs + WARMING_MS,
  );
}

/** How many calls others got while a replica had room for one more. */
export function judgeShares(world: World, evidence: Evidence): void {
  const { plan } = world;
  if (plan.faults.some(({ kind }) => OF_SHARES.includes(kind))) return;
  if ([...SHARED_OTHERWISE, 'slow-start'].some((each) => plan.features.includes(each))) return;
  for (const service of new Set(plan.replicas.map((each) => each.service)))
    for (const caller of plan.callers.keys())
      for (const replica of replicasOf(plan, service)) starving(world, evidence, caller, service, replica);
}

function starving(world: World, evidence: Evidence, caller: number, service: string, replica: string): void {
  const { plan } = world;
  const inRun = (ms: number): string => (ms - world.beginMs).toFixed(0);
  const slownessAt = (ms: number): number => Math.min(evidence.slowness(replica, caller, ms), MOST_SLOWER);
  const runs = replicasOf(plan, service)
    .flatMap((each) => evidence.runsOf(each))
    .filter(({ record }) => record.plan.caller === caller)
    .map((run) => ({ ...run, atMs: arrivalOf(run) }))
    .sort((a, b) => a.atMs - b.atMs);
  let without: (typeof runs)[number][] = [];
  let weighed = 0;
  let weight = 0;
  for (const run of runs) {
    const { execution, atMs } = run;
    if (execution.replica === replica || !evidence.isClean(replica, atMs)) {
      without = [];
      weighed = 0;
      weight = 0;
    } else if (evidence.hasRoom(replica, atMs)) without.push(run);
    if (without.length < MOST_PICKS_WITHOUT) continue;
    // One that is so much slower gets a call so much later: by how slow it was when each of the calls went to another, and is now.
    for (; weighed < without.length; weighed++) weight += 1 / slownessAt(without[weighed]!.atMs);
    if (weight < MOST_PICKS_WITHOUT) continue;
    if (without.length < MOST_PICKS_WITHOUT * slownessAt(atMs)) continue;
    const which = `${plan.callers[caller]!.name} of ${replica}`;
    const calls = without.map(({ record }) => record.plan.id);
    const span = `from call ${calls[0]} to call ${calls.at(-1)}, ${inRun(without[0]!.record.startMs)} to ${inRun(atMs)} ms`;
    const what = `${calls.length} calls in a row went to others while it had room (${span})`;
    return world.find('shares', `${which}: ${what}`, calls);
  }
}
