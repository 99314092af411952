/** When there was a reason to think ill of a replica: what the oracle holds decisions of the sidecars against. */
import { COLLECTOR_FAULTS, DISK_FAULTS, type Plan, ROOT_FAULTS } from '../plan/plan.js';
import type { CallRecord, Execution } from '../world/records.js';
import type { World } from '../world/world.js';
import { allPlaces } from './places.js';

/** Faults that say nothing against any replica. */
const NO_EVIDENCE: readonly string[] = ['reload', ...DISK_FAULTS, ...ROOT_FAULTS, ...COLLECTOR_FAULTS];
/** What happened to a replica is felt for so long: ejections, breakers and reconnects, ms. */
const FELT_MS = 15_000;

/** Features that limit an attempt, and the least time that they leave it, ms. */
const ATTEMPT_LIMITS = ['attempt-timeout', 'first-message-timeout'];
const LEAST_ATTEMPT_MS = 300;

/** What a caller remembers of the times at a replica: so many calls, and what they say for so long, ms. */
const RECENT = 16;
const KEPT_MS = 10_500;

interface Interval {
  readonly fromMs: number;
  readonly toMs: number;
}

/** A call that a replica got, with the caller that made it. */
export interface Run {
  readonly record: CallRecord;
  readonly execution: Execution;
}

/** When its replica got the call: a frozen model begins what has come meanwhile all at once. */
export function arrivalOf({ record, execution: { replica, startMs } }: Run): number {
  return (
    record.arrivals.findLast((each) => each.replica === replica && each.atMs <= startMs)?.atMs ?? startMs
  );
}

export function isGood({ ended, status }: Execution): boolean {
  return ended === 'answered' && status === 0;
}

/** It says nothing against the replica: the model answered as the call had planned, or its caller left. */
function isBlameless(
  { plan, isCancelled, endMs }: CallRecord,
  { ended, status, endMs: atMs }: Execution,
): boolean {
  return ended === 'answered' ? status === plan.status : ended === 'reset' && isCancelled && atMs >= endMs;
}

/** Times of the clock, ms. */
export class Evidence {
  private readonly bad = new Map<string, Interval[]>();
  /** By faults alone. */
  private readonly struck = new Map<string, Interval[]>();
  /** Calls failed, and no replica had got them. */
  private readonly unplaced: Interval[] = [];
  private readonly runs = new Map<string, Run[]>();

  constructor(private readonly world: World) {
    const { plan, records, originMs } = world;
    const all = plan.replicas.map(({ name }) => name);
    const hasAttemptLimits = plan.features.some((each) => ATTEMPT_LIMITS.includes(each));
    const against = (names: readonly string[], fromMs: number, toMs: number): void => {
      for (const name of names) this.listOf(this.bad, name).push({ fromMs, toMs: toMs + FELT_MS });
    };
    for (const { kind, target, atMs, untilMs } of plan.faults) {
      if (NO_EVIDENCE.includes(kind)) continue;
      const struck = all.includes(target) ? [target] : all;
      against(struck, originMs + atMs, originMs + untilMs);
      for (const name of struck)
        this.listOf(this.struck, name).push({ fromMs: originMs + atMs, toMs: originMs + untilMs + FELT_MS });
    }
    const { rollout } = plan;
    if (rollout !== undefined && rollout.candidate !== 'good')
      against(all, originMs + rollout.atMs, Number.POSITIVE_INFINITY);
    for (const record of records) {
      const endMs = record.endMs < 0 ? Number.POSITIVE_INFINITY : record.endMs;
      const hasFailed = record.status !== 0 && record.executions.length === 0 && !record.isCancelled;
      // An attempt may time out where it waits for the model, which then sees nothing of it.
      const mayHaveTimedOut = hasAttemptLimits && endMs - record.startMs >= LEAST_ATTEMPT_MS;
      if (hasFailed || mayHaveTimedOut) this.unplaced.push({ fromMs: record.startMs, toMs: endMs + FELT_MS });
      for (const execution of record.executions) {
        this.listOf(this.runs, execution.replica).push({ record, execution });
        const until = execution.endMs < 0 ? Number.POSITIVE_INFINITY : execution.endMs;
        if (!isBlameless(record, execution)) against([execution.replica], execution.startMs, until);
      }
    }
    // What bad requests have taken out gets no calls.
    if (plan.features.includes('bad-requests'))
      for (const { label, atMs } of world.ejectionsSeen)
        for (const name of all)
          if (addressOf(plan, name) === label)
            this.listOf(this.bad, name).push({ fromMs: atMs + 1e-3, toMs: atMs + FELT_MS });
    for (const list of this.runs.values()) list.sort((a, b) => a.execution.startMs - b.execution.startMs);
  }

  private listOf<T>(map: Map<string, T[]>, name: string): T[] {
    const list = map.get(name) ?? [];
    map.set(name, list);
    return list;
  }

  /** What a replica got, by time. */
  runsOf(replica: string): readonly Run[] {
    return this.runs.get(replica) ?? [];
  }

  /** Nothing had happened to it lately. */
  isClean(replica: string, atMs: number): boolean {
    return (
      !(this.bad.get(replica) ?? []).some((each) => isIn(each, atMs)) &&
      !this.unplaced.some((each) => isIn(each, atMs))
    );
  }

  /** No fault struck it lately, whatever became of its calls. */
  isUnharmed(replica: string, atMs: number): boolean {
    return !(this.struck.get(replica) ?? []).some((each) => isIn(each, atMs));
  }

  /** The same, and no caller had ejected it. */
  isUp(replica: string, atMs: number): boolean {
    const { plan, ejectionsSeen } = this.world;
    const listen = addressOf(plan, replica);
    const isOut = ejectionsSeen.some(
      ({ label, atMs: fromMs }) => label === listen && fromMs <= atMs && atMs <= fromMs + FELT_MS,
    );
    return !isOut && this.isUnharmed(replica, atMs);
  }

  /**
   * How much slower than another one this caller may take a replica for, at least 1: by two of its calls of late. One call may be meant to take long
   * (decision 176); what takes long at the other one does not count.
   */
  slowness(replica: string, caller: number, atMs: number): number {
    const { service } = this.world.plan.replicas.find(({ name }) => name === replica)!;
    const others = replicasOf(this.world.plan, service).filter((name) => name !== replica);
    const usualMs = Math.min(...others.map((name) => this.longRunMs(name, caller, atMs, atMs, 3)));
    // Of which it knows one call only, that one counts.
    const ownMs =
      this.longRunMs(replica, caller, atMs - KEPT_MS, atMs, 1) ||
      this.longRunMs(replica, caller, atMs - KEPT_MS, atMs, 0);
    return ownMs <= usualMs ? 1 : ownMs / usualMs;
  }

  /** The longest time but `longer` ones of the last calls, and of all that ended after `sinceMs`. */
  private longRunMs(replica: string, caller: number, sinceMs: number, atMs: number, longer: number): number {
    const ended = this.runsOf(replica)
      .filter(
        ({ record, execution: { endMs } }) => record.plan.caller === caller && endMs >= 0 && endMs <= atMs,
      )
      .sort((a, b) => a.execution.endMs - b.execution.endMs);
    const counted = ended.filter(
      ({ execution }, i) => i >= ended.length - RECENT || execution.endMs >= sinceMs,
    );
    return counted.map(seenMs).sort((a, b) => b - a)[longer] ?? 0;
  }

  /** Calls in it at a time. */
  busyAt(replica: string, atMs: number): number {
    return this.busyBetween(replica, atMs, atMs);
  }

  /** Calls in it that this caller knows of: its own, and those that others made so long ago that it has been told. */
  knownAt(replica: string, caller: number, atMs: number, toldMs: number): number {
    return this.runsOf(replica).filter(({ record, execution }) => {
      if (execution.startMs > (record.plan.caller === caller ? atMs : atMs - toldMs)) return false;
      const untilMs =
        execution.ended === 'answered' ? Math.max(execution.endMs, record.endMs) : execution.endMs;
      return execution.endMs < 0 || untilMs > atMs;
    }).length;
  }

  /** Calls in it, at least a part of the time; one that is answered may wait for its reader. */
  busyBetween(replica: string, fromMs: number, toMs: number): number {
    return this.runsOf(replica).filter(({ record, execution: { startMs, endMs, ended } }) => {
      const untilMs = ended === 'answered' ? Math.max(endMs, record.endMs) : endMs;
      return startMs <= toMs && (endMs < 0 || untilMs > fromMs);
    }).length;
  }

  /** Calls in it at once in this time, at most. */
  mostBusy(replica: string, fromMs: number, toMs: number): number {
    const begun = this.runsOf(replica)
      .map(({ execution }) => execution.startMs)
      .filter((startMs) => startMs > fromMs && startMs <= toMs);
    return Math.max(...[fromMs, ...begun].map((atMs) => this.busyAt(replica, atMs)));
  }

  /** Calls that its operator said it runs at once, at most: it is given so many, and lets those wait that are more than it can run. */
  declaredOf(replica: string): number {
    return Math.max(0, ...allPlaces(this.world.plan, replica));
  }

  /** It is clean, and would have run another call at once. */
  hasRoom(replica: string, atMs: number): boolean {
    const { parallel } = this.world.plan.replicas.find(({ name }) => name === replica)!;
    return this.isClean(replica, atMs) && this.busyAt(replica, atMs) < parallel;
  }
}

/**
 * How long a run took as its caller sees it: with the wait in the model, as for the credit of a connection that another call fills, and without the
 * time in which the caller had more to send.
 */
function seenMs({ record, execution: { startMs, runStartMs, runMs } }: Run): number {
  const { plan } = record;
  if (runStartMs < 0) return runMs;
  const sendingMs = (plan.request.length - 1) * plan.requestGapMs;
  return Math.max(runMs, runStartMs - startMs - sendingMs + runMs, transferMs(record));
}

/** A call of so many bytes takes its time on slow links, which its caller cannot tell from that of the replica. */
const LARGE_BYTES = 20_000;

function transferMs({ plan: { request, response }, startMs, endMs }: CallRecord): number {
  const bytes = [...request, ...response].reduce((sum, size) => sum + size, 0);
  return bytes < LARGE_BYTES || endMs < 0 ? 0 : endMs - startMs;
}

function isIn({ fromMs, toMs }: Interval, atMs: number): boolean {
  return fromMs <= atMs && atMs <= toMs;
}

/** Where callers reach it. */
export function addressOf({ replicas }: Plan, replica: string): string {
  const { file } = replicas.find(({ name }) => name === replica)!;
  return (file as { inbound: { listen: string } }).inbound.listen;
}

export function replicasOf(plan: Plan, service: string): readonly string[] {
  return plan.replicas.filter((each) => each.service === service).map(({ name }) => name);
}
