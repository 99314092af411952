import type { Cluster } from '../../cluster/cluster.js';
import type { Endpoint } from '../../cluster/endpoint.js';
import { setHealthy } from '../../cluster/endpoint-health.js';
import type { ActiveHealthConfig, Address } from '../../config/model.js';
import { CheckedHealth, type CheckResult } from '../../core/health/health-check.js';
import { checkTimeoutMs } from '../../core/health/probe-timeout.js';
import { Outcome } from '../../core/outcome/outcome.js';
import type { EventLoopMonitor } from '../../runtime/process/event-loop-monitor.js';
import { WheelEntry } from '../../runtime/time/timing-wheel.js';
import type { DataPlaneContext } from '../../transport/context.js';
import { type Probe, type ProbeCallback, SAYS_NOT_SERVING } from './probes.js';

/** The endpoint as one cluster has it. */
export interface Member {
  readonly cluster: Cluster;
  readonly endpoint: Endpoint;
}

export interface ProberDeps {
  readonly context: DataPlaneContext;
  /** Runs while answers are awaited. */
  readonly loopMonitor: EventLoopMonitor;
  /** Queues the prober; `begin` is called when few enough others begin in the same turn. */
  enqueue(prober: Prober): void;
  /** Starts a probe; undefined without a usable connection. */
  ask(prober: Prober, onResult: ProbeCallback): Probe | undefined;
}

/** The reason of a timeout, by kind of check. */
const SILENCE = {
  grpc: 'no answer to a health check',
  ping: 'no answer to a PING',
  tcp: 'no connection was made',
} as const;

type Phase = 'resting' | 'queued' | 'asking' | 'late';

/**
 * Checks one endpoint again and again, and reports to every cluster that has it: however many
 * routes, clusters and upstreams lead to an endpoint, it is checked once, over the connections of
 * one of them.
 *
 * A timeout proves nothing when the event loop stalled meanwhile, or while input that has arrived
 * is still unread: the first makes the check void, and for the second the timeout waits for one
 * more turn.
 */
export class Prober extends WheelEntry {
  readonly members: Member[] = [];
  readonly health: CheckedHealth;
  readonly counts = { passed: 0, failed: 0, silent: 0, void: 0, skipped: 0 };
  /** Duration of the last answered check, ms; 0: none was answered. */
  answerMs = 0;
  /** Timeout of the last check, ms. */
  timeoutMs = 0;
  private phase: Phase = 'resting';
  private wasUp = false;
  private askedMs = 0;
  /** When the pending probe was sent: an earlier check may have sent it. */
  private probeMs = 0;
  private probe: Probe | undefined;
  /** Changes with every probe and its end: results of earlier probes are dropped. */
  private asked = 0;

  constructor(
    readonly check: ActiveHealthConfig,
    readonly address: Address,
    private readonly deps: ProberDeps,
  ) {
    super();
    this.health = new CheckedHealth(check, deps.context.clock.now());
  }

  join(member: Member): void {
    this.members.push(member);
    member.endpoint.isUntested = !this.health.hasPassed;
    this.health.isConfirmedBy(this.calls());
  }

  /** Removes the endpoint of one cluster. True when no cluster has it any more. */
  leave(endpoint: Endpoint): boolean {
    const at = this.members.findIndex((member) => member.endpoint === endpoint);
    if (at >= 0) this.members.splice(at, 1);
    endpoint.isUntested = false;
    endpoint.mayBeStarting = false;
    if (this.members.length === 0) this.stop();
    else this.health.isConfirmedBy(this.calls());
    return this.members.length === 0;
  }

  /** A connection was opened or lost: an endpoint that is connected again is checked at once. */
  connectionsChanged(): void {
    const isUp = this.check.kind === 'tcp' || this.isConnected;
    if (isUp === this.wasUp) return;
    this.wasUp = isUp;
    if (!isUp) return this.stop();
    this.health.renew();
    this.plan(this.deps.context.clock.now());
  }

  stop(): void {
    this.deps.context.wheel.cancel(this);
    this.drop();
    this.phase = 'resting';
  }

  get isAsking(): boolean {
    return this.phase === 'asking' || this.phase === 'late';
  }

  fire(): void {
    const { context } = this.deps;
    const now = context.clock.now();
    context.nowMs = now;
    if (this.phase === 'asking') {
      // An answer that has arrived is read in the next turn.
      this.phase = 'late';
      context.wheel.add(this, now + 1);
    } else if (this.phase === 'late') this.onTimeout(now);
    else if (this.health.isConfirmedBy(this.calls())) {
      this.counts.skipped++;
      this.askedMs = now;
      this.planNext(now);
    } else {
      this.phase = 'queued';
      this.deps.enqueue(this);
    }
  }

  /** Sends a probe, unless an earlier one is still pending. */
  begin(): void {
    if (this.phase !== 'queued') return;
    const { context, loopMonitor } = this.deps;
    const now = context.clock.now();
    context.nowMs = now;
    this.askedMs = now;
    this.timeoutMs = this.check.timeoutMs ?? checkTimeoutMs(this.usualMs(now), this.check.intervalMs);
    loopMonitor.start();
    this.phase = 'asking';
    if (this.probe?.isPending !== true) {
      this.drop();
      this.probeMs = now;
      const number = ++this.asked;
      const probe = this.deps.ask(this, (result, why) => {
        if (number === this.asked) this.onAnswer(result, why);
      });
      // The answer came within the call.
      if (number !== this.asked) return;
      this.probe = probe;
    }
    // No probe could be sent, because every connection has all its streams in use.
    if (this.probe === undefined) this.planNext(now);
    else context.wheel.add(this, now + this.timeoutMs);
  }

  private onAnswer(result: CheckResult, why: string): void {
    this.probe = undefined;
    this.asked++;
    const now = this.deps.context.clock.now();
    const isInTime = this.probeMs === this.askedMs || now - this.probeMs <= this.timeoutMs;
    if (this.isAsking && isInTime) {
      if (result === 'passed') this.answerMs = now - this.probeMs;
      return this.record(result, why, now);
    }
    if (this.phase === 'queued') return;
    // Too late to count, but the endpoint is back: the next check comes sooner.
    const dueMs = Math.max(now, this.probeMs + Math.min(LATE_PAUSE_MS, this.check.intervalMs));
    if (this.isAsking || (this.isScheduled && dueMs < this.dueMs)) this.plan(dueMs);
  }

  private onTimeout(now: number): void {
    const { context, loopMonitor } = this.deps;
    const isOurs = loopMonitor.hasStalled(now - this.askedMs) || context.hasStalled();
    const isLost = this.probe?.isPending !== true && this.check.kind !== 'tcp' && !this.isConnected;
    if (this.probe?.isPending !== true) this.drop();
    if (isOurs || isLost) this.record('void', '', now);
    else this.record('silent', `${SILENCE[this.check.kind]} in ${this.timeoutMs} ms`, now);
  }

  private get isConnected(): boolean {
    return this.members.some(({ endpoint }) => endpoint.pool.isConnected);
  }

  private record(result: CheckResult, why: string, now: number): void {
    this.counts[result]++;
    this.health.record(result, why, now);
    this.planNext(now);
    if (result === 'void') return;
    for (const { cluster, endpoint } of [...this.members]) {
      endpoint.isUntested = !this.health.hasPassed;
      endpoint.mayBeStarting = !this.health.hasPassed && this.health.why === SAYS_NOT_SERVING;
      setHealthy(cluster, endpoint, this.health.isHealthy, this.health.why);
    }
  }

  private planNext(now: number): void {
    this.plan(Math.max(now, this.askedMs + this.health.delayMs(this.deps.context.random)));
  }

  private plan(dueMs: number): void {
    this.phase = 'resting';
    this.deps.context.wheel.add(this, dueMs);
  }

  /**
   * Usual duration of calls, ms, behind which a check may wait; 0: unknown, or the check does not
   * wait.
   */
  private usualMs(now: number): number {
    // A PING or a connect is answered without the model.
    if (this.check.kind !== 'grpc') return 0;
    const times = this.members.map(({ cluster }) => cluster.sweep?.callTimes?.p99Ms(now) ?? 0);
    return Math.max(0, ...times);
  }

  private drop(): void {
    const { probe } = this;
    this.probe = undefined;
    this.asked++;
    probe?.cancel();
  }

  /** Successes and faults of all calls to the endpoint. */
  private calls(): { successes: number; faults: number } {
    // A check of one model is not replaced by calls to others.
    if (this.check.service !== '') return NO_CALLS;
    let successes = 0;
    let faults = 0;
    for (const { endpoint } of this.members) {
      successes += endpoint.outcomes[Outcome.success]!;
      faults += endpoint.outcomes[Outcome.fault]!;
    }
    return { successes, faults };
  }
}

const NO_CALLS = { successes: 0, faults: 0 };
/** Shortest time between two checks after a late answer. */
const LATE_PAUSE_MS = 1_000;
