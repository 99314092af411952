/**
 * Asks one endpoint again and again how it is, and tells everyone who has calls for it. However many routes, clusters
 * and upstreams lead to the endpoint, it is asked once, over the connections of one of them.
 *
 * Silence convicts nobody when it may be our own: when the event loop stood still while the answer was waited for, and
 * before what has arrived meanwhile has been read.
 */

import type { Cluster } from '../../cluster/cluster.js';
import type { Endpoint } from '../../cluster/endpoint.js';
import type { ActiveHealthConfig, Address } from '../../config/model.js';
import { CheckedHealth, type CheckResult } from '../../core/health/health-check.js';
import { checkTimeoutMs } from '../../core/health/probe-timeout.js';
import { Outcome } from '../../core/outcome/outcome.js';
import type { EventLoopMonitor } from '../../runtime/process/event-loop-monitor.js';
import { WheelEntry } from '../../runtime/time/timing-wheel.js';
import type { DataPlaneContext } from '../../transport/context.js';
import { type Probe, type ProbeCallback, SAYS_NOT_SERVING } from './probes.js';

/** An endpoint as one upstream has it. */
export interface Member {
  readonly cluster: Cluster;
  readonly endpoint: Endpoint;
}

export interface ProberDeps {
  readonly context: DataPlaneContext;
  /** Sees our own stalls while answers are waited for. */
  readonly loopMonitor: EventLoopMonitor;
  /** Its turn to ask has come: `begin` is called as soon as not too many others begin. */
  enqueue(prober: Prober): void;
  /** Undefined: nobody is connected to ask over. */
  ask(prober: Prober, hear: ProbeCallback): Probe | undefined;
}

/** What silence is called, by kind. */
const SILENCE = {
  grpc: 'no answer to a health check',
  ping: 'no answer to a PING',
  tcp: 'no connection was made',
} as const;

type Phase = 'resting' | 'queued' | 'asking' | 'late';

export class Prober extends WheelEntry {
  readonly members: Member[] = [];
  readonly health: CheckedHealth;
  readonly counts = { passed: 0, failed: 0, silent: 0, void: 0, skipped: 0 };
  /** How long the last answer took, ms; 0: there was none. */
  answerMs = 0;
  /** How long the answer to the last check was waited for at most. */
  timeoutMs = 0;
  private phase: Phase = 'resting';
  private wasUp = false;
  private askedMs = 0;
  /** When the question that is open was asked: perhaps before the present check. */
  private probeMs = 0;
  private probe: Probe | undefined;
  /** Moves with every question and its end: answers to others are not heard. */
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
    this.health.isShownBy(this.calls());
  }

  /** True when nobody is left. */
  leave(endpoint: Endpoint): boolean {
    const at = this.members.findIndex((member) => member.endpoint === endpoint);
    if (at >= 0) this.members.splice(at, 1);
    endpoint.isUntested = false;
    endpoint.mayBeStarting = false;
    if (this.members.length === 0) this.stop();
    else this.health.isShownBy(this.calls());
    return this.members.length === 0;
  }

  /** Connections came or went: a new one is asked at once. */
  connectionsChanged(): void {
    const isUp = this.check.kind === 'tcp' || this.members.some(({ endpoint }) => endpoint.pool.isConnected);
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
      // The answer may have arrived and not been read: it is in the next turn.
      this.phase = 'late';
      context.wheel.add(this, now + 1);
    } else if (this.phase === 'late') this.onTimeout(now);
    else if (this.health.isShownBy(this.calls())) {
      this.counts.skipped++;
      this.askedMs = now;
      this.planNext(now);
    } else {
      this.phase = 'queued';
      this.deps.enqueue(this);
    }
  }

  /** Asks, unless an earlier question is as good. */
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
      if (!this.ask()) return;
    }
    // All its connections may be full: that is no silence.
    if (this.probe === undefined) this.planNext(now);
    else context.wheel.add(this, now + this.timeoutMs);
  }

  /** False: it has been answered already. */
  private ask(): boolean {
    const number = ++this.asked;
    const question = this.deps.ask(this, (result, why) => {
      if (number === this.asked) this.onAnswer(result, why);
    });
    if (number !== this.asked) return false;
    this.probe = question;
    return true;
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
    // Too late to count, and a sign of life: whoever is back need not wait for its turn.
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
    this.health.take(result, why, now);
    this.planNext(now);
    if (result === 'void') return;
    for (const { cluster, endpoint } of [...this.members]) {
      endpoint.isUntested = !this.health.hasPassed;
      endpoint.mayBeStarting = !this.health.hasPassed && this.health.why === SAYS_NOT_SERVING;
      cluster.endpointHealthy(endpoint, this.health.isHealthy, this.health.why);
    }
  }

  private planNext(now: number): void {
    this.plan(Math.max(now, this.askedMs + this.health.delayMs(this.deps.context.random)));
  }

  private plan(dueMs: number): void {
    this.phase = 'resting';
    this.deps.context.wheel.add(this, dueMs);
  }

  /** What the answer may have to wait for; 0: nothing, or nobody knows. */
  private usualMs(now: number): number {
    // A sidecar or a kernel answers these, whatever its model does.
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

  /** What all its calls came to. */
  private calls(): { successes: number; faults: number } {
    // A model's name asks for more than other calls show.
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
/** After a late answer the next question comes no sooner than this after the last one. */
const LATE_PAUSE_MS = 1_000;
