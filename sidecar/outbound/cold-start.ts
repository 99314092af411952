import type { Cluster } from '../cluster/cluster.js';
import { isProbeDue } from '../cluster/picking.js';
import type { UpstreamConfig } from '../config/model.js';
import { AttemptTrait } from '../core/outcome/classify-attempt.js';
import { AttemptEnd } from '../core/outcome/outcome.js';
import type { DataPlaneContext } from '../transport/context.js';
import type { OutboundAttempt, OutboundCall } from './call.js';
import type { CircuitBreaker } from './circuit-breaker.js';
import { chainOf } from './method-state.js';
import { isServedNowhere } from './retry.js';

/** `cold_start` of an upstream. */
export type ColdStartConfig = NonNullable<UpstreamConfig['coldStart']>;
/** What is asked to start a service. */
export type WakeTarget = NonNullable<ColdStartConfig['wake']>;

/** What it is told. */
export interface WakeFacts {
  readonly upstream: string;
  /** Calls that wait. */
  readonly waiting: number;
}

/** Asks for the start of a service. Resolves with what went wrong, in one sentence; empty: nothing. Never rejects. */
export type Wake = (target: WakeTarget, facts: WakeFacts) => Promise<string>;

/** How often a waiting call looks whether an endpoint is up, which costs no attempt, ms. */
const LOOK_MS = 100;
/** How often it asks again for a model that no endpoint serves: only an attempt can tell. */
const ASK_MS = 1_000;
/** Before it goes to an endpoint that it has not tried. */
const MOVE_ON_MS = 1;

/**
 * Keeps calls of one upstream while none of its endpoints is up: it has none, or each cannot be connected to or says that its
 * model is not ready. One endpoint that takes calls, however it fares, is proof against that, and then nothing waits.
 */
export class ColdStart {
  /** Calls that waited; of these, those that found no endpoint in time; those that could not wait for want of room. */
  readonly counts = { waited: 0, expired: 0, refused: 0 };
  readonly wakes = { sent: 0, failed: 0 };
  /** Calls that have waited and are not served yet: one that asks again meanwhile keeps its place. */
  private readonly held = new Set<OutboundCall>();
  private wakeFromMs = Number.NEGATIVE_INFINITY;
  private isWaking = false;

  constructor(
    public settings: ColdStartConfig,
    private readonly breaker: CircuitBreaker,
    private readonly deps: {
      readonly upstream: string;
      readonly context: DataPlaneContext;
      readonly wake: Wake | undefined;
    },
  ) {}

  /** No endpoint can be chosen. True: the call waits. */
  hold(call: OutboundCall): boolean {
    return isCold(call.cluster, this.deps.context.nowMs) && this.waitForStart(call, LOOK_MS);
  }

  /** This was the last attempt of the call, and it failed. True: the call waits. */
  holdFailed(call: OutboundCall, attempt: OutboundAttempt): boolean {
    const { nowMs } = this.deps.context;
    const { traits, endpoint } = attempt;
    if (isServedNowhere(call, attempt, nowMs)) return this.waitForStart(call, ASK_MS);
    const isDown = (traits & (AttemptTrait.modelDown | AttemptTrait.modelCrashed)) === AttemptTrait.modelDown;
    const isAway = attempt.ended === AttemptEnd.connectError || attempt.ended === AttemptEnd.unconnected;
    // The first calls of a cold start find out which endpoints are loading, one attempt at each, and do not fail for it.
    if (isDown && isAnyUp(call.cluster, call.tried)) return this.keep(call, MOVE_ON_MS);
    if ((!isDown && !isAway) || isAnyUp(call.cluster, [endpoint])) return false;
    // Another endpoint that is due for a probe is no reason to fail: the call may be the one that tries it.
    return this.waitForStart(call, isDown && !isProbeDue(call.cluster, nowMs) ? ASK_MS : LOOK_MS);
  }

  /** A waiting call looks again. True: it goes on waiting. */
  holdOn(call: OutboundCall): boolean {
    const { nowMs } = this.deps.context;
    return (
      nowMs < call.ensureWait().coldUntilMs && isCold(call.cluster, nowMs) && this.waitForStart(call, LOOK_MS)
    );
  }

  /**
   * Adds the call to those that wait, until it looks again. Its first wait decides until when; the retry policy of its route is
   * not asked, as nothing has begun to process it. Copies of a mirror never wait, nor do calls that can fall back.
   */
  private keep(call: OutboundCall, lookMs: number): boolean {
    const { context } = this.deps;
    const { nowMs } = context;
    if (
      !call.isWhole ||
      call.hasCrashed ||
      call.isCopy ||
      (call.methodState !== null && chainOf(call.match).length > 0)
    )
      return false;
    const wait = call.ensureWait();
    if (wait.coldUntilMs === 0) {
      if (this.held.size >= this.settings.maxWaiting) {
        this.counts.refused++;
        return false;
      }
      this.counts.waited++;
      this.held.add(call);
      wait.coldUntilMs = nowMs + this.settings.waitMs;
    } else if (nowMs >= wait.coldUntilMs) {
      this.counts.expired++;
      return false;
    }
    return this.breaker.waitUntil(call, Math.min(nowMs + lookMs, wait.coldUntilMs));
  }

  /** The call has ended, its answer has begun, or it goes back to the upstream it came from: its place is free. */
  leave(call: OutboundCall): void {
    this.held.delete(call);
    if (call.wait !== null) call.wait.coldUntilMs = 0;
  }

  /** Nothing is up: the call waits, may try every endpoint again then, and a start is asked for. */
  private waitForStart(call: OutboundCall, lookMs: number): boolean {
    if (!this.keep(call, lookMs)) return false;
    call.tried = [];
    this.wake(this.deps.context.nowMs);
    return true;
  }

  /** Asks for a start, once in the interval, and not while the last request is under way. */
  private wake(nowMs: number): void {
    const { wake: target } = this.settings;
    const { upstream, context, wake } = this.deps;
    if (target === undefined || wake === undefined || this.isWaking || nowMs < this.wakeFromMs) return;
    this.wakeFromMs = nowMs + target.intervalMs;
    this.isWaking = true;
    this.wakes.sent++;
    wake(target, { upstream, waiting: this.held.size })
      .then((why) => {
        this.isWaking = false;
        if (why === '') return;
        this.wakes.failed++;
        context.logger.warn({ upstream, why }, 'asking for the start of the service failed');
      })
      .catch((error: unknown) => {
        const giveUp = (): void => {
          this.isWaking = false;
          this.wakes.failed++;
        };
        context.containment.contain({ giveUp }, error);
      });
  }
}

/** Whether no endpoint could take a call, nor is one due for a probe, which is tried rather than waited for. */
function isCold(cluster: Cluster, nowMs: number): boolean {
  return !isProbeDue(cluster, nowMs) && !isAnyUp(cluster, []);
}

/**
 * Whether an endpoint but `except`, which have just said that they cannot, could take a call. An ejected endpoint that is connected
 * could: faults are no sign of a start.
 */
function isAnyUp({ endpoints }: Cluster, except: readonly unknown[]): boolean {
  for (const endpoint of endpoints) {
    const { weight, isConnected, ejection, unhealthy } = endpoint;
    const isUp = weight > 0 && isConnected && !ejection.isDown && unhealthy === '';
    if (isUp && !except.includes(endpoint)) return true;
  }
  return false;
}
