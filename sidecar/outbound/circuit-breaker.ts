import type { Cluster } from '../cluster/cluster.js';
import type { Upstream } from '../cluster/upstream.js';
import type { UpstreamConfig } from '../config/model.js';
import { LocalReplyReasons } from '../core/outcome/local-reply-reason.js';
import { CircuitBreakerLimits } from '../core/retry/breaker-limits.js';
import type { Call } from '../relay/call.js';
import { resumeAt } from '../relay/call-timer.js';
import { type LocalReply, makeLocalReply } from '../relay/local-reply.js';
import type { DataPlaneContext } from '../transport/context.js';
import { FIRST_WINDOW, type MemoryBudget } from '../transport/memory-budget.js';
import { BreakerPlace, type OutboundCall } from './call.js';

/**
 * Bounds the calls of one upstream: how many are in flight, how many wait for a connection, and which wait until discovery
 * or an identity says where they can go. What is over a bound gets a reply (Envoy's circuit breakers).
 */
export class CircuitBreaker {
  /** Null: unbounded. */
  limits: CircuitBreakerLimits | null = null;
  private readonly waiting: WaitingCalls<OutboundCall>;

  constructor(
    private readonly name: string,
    private readonly upstream: Upstream,
    private readonly context: DataPlaneContext,
  ) {
    this.waiting = new WaitingCalls(context.memory);
  }

  /** Calls under way go on being counted where they were. */
  configure({ breaker }: UpstreamConfig): void {
    if (breaker === undefined) this.limits = null;
    else if (this.limits === null) this.limits = new CircuitBreakerLimits(breaker);
    else this.limits.settings = breaker;
  }

  /** Counts the call as in flight until it leaves. Returns the reply to one call too many, which is not counted. */
  admit(call: OutboundCall): LocalReply | null {
    const { limits } = this;
    if (limits !== null && !limits.enter())
      return this.openFor(limits.settings.maxInFlight, 'calls in flight');
    call.breaker = limits === null ? null : new BreakerPlace(limits);
    return null;
  }

  /** The call cannot be sent at once. Returns the reply where as many wait already as may; null: it may wait. */
  admitToQueue({ breaker, cluster }: OutboundCall): LocalReply | null {
    if (breaker === null) {
      const { maxPending } = cluster;
      const isFull = maxPending > 0 && pendingAt(cluster) >= maxPending;
      return isFull ? this.openFor(maxPending, 'calls waiting') : null;
    }
    const { limits } = breaker;
    if (limits.mayQueue(this.pending)) return null;
    return this.openFor(limits.settings.maxPending, 'calls waiting');
  }

  /** Keeps the call for what will come: endpoints from discovery, or the first identity. False: no room, or too late. */
  wait(call: OutboundCall): boolean {
    const untilMs = call.startMs + MAX_WAIT_MS;
    if (this.context.nowMs >= untilMs || !this.waiting.add(call)) return false;
    resumeAt(call, untilMs);
    return true;
  }

  /** Keeps the call until then, and no longer. False: no room. */
  waitUntil(call: OutboundCall, untilMs: number): boolean {
    if (!this.waiting.add(call)) return false;
    resumeAt(call, untilMs);
    return true;
  }

  /** Discovery has not answered yet. Returns the reply to a call that cannot wait for it; null: it waits. */
  waitForDiscovery(call: OutboundCall): LocalReply | null {
    const refusal = this.admitToQueue(call);
    if (refusal !== null || this.wait(call)) return refusal;
    const isLate = this.context.nowMs >= call.startMs + MAX_WAIT_MS;
    const detail = isLate ? 'discovery has not answered' : 'too many calls wait for them';
    return makeLocalReply(LocalReplyReasons.discoveryPending, { upstream: this.name, detail });
  }

  /** The call waits no more. False: it did not wait. */
  leave(call: OutboundCall): boolean {
    return this.waiting.delete(call);
  }

  /** What a waiting call waits for. */
  missingFor({ cluster, isCold }: OutboundCall): string {
    if (isCold) return `an endpoint of ${this.name} that is up`;
    return cluster.isKnown ? 'an identity to connect with' : `the endpoints of ${this.name}, not known yet`;
  }

  /** Calls that wait until it is known where they can go. */
  get waitingCalls(): number {
    return this.waiting.size;
  }

  /** Of these, calls that wait for an endpoint to be up. */
  get coldCalls(): number {
    let n = 0;
    for (const { isCold } of this.waiting.all) if (isCold) n++;
    return n;
  }

  /** Ends the wait of all of them; in the order they came. */
  takeWaiting(): readonly OutboundCall[] {
    return this.waiting.takeAll();
  }

  /** Calls that wait, and attempts that wait for a connection. */
  private get pending(): number {
    return this.upstream.all.reduce((n, cluster) => n + pendingAt(cluster), this.waiting.size);
  }

  private openFor(limit: number, what: string): LocalReply {
    return makeLocalReply(LocalReplyReasons.breakerOpen, { upstream: this.name, limit, what });
  }
}

/** Attempts that wait for a connection to an endpoint of the cluster. */
function pendingAt({ endpoints }: Cluster): number {
  let n = 0;
  for (const { pool } of endpoints) n += pool.waitingCount;
  return n;
}

/** Most calls that wait for one upstream. */
const MAX_CALLS = 1024;

/** Longest wait of a call whose deadline is later or that has none, ms. */
export const MAX_WAIT_MS = 15_000;

/** Calls that wait, and the memory reserved for what their callers may send meanwhile. */
class WaitingCalls<C extends Call> {
  private readonly calls = new Set<C>();

  constructor(private readonly memory: MemoryBudget) {}

  get size(): number {
    return this.calls.size;
  }

  get all(): Iterable<C> {
    return this.calls;
  }

  /** False: there is no room. A caller may send one window unasked, so that much memory is reserved for each. */
  add(call: C): boolean {
    if (this.calls.has(call)) return true;
    if (this.calls.size >= MAX_CALLS || !this.memory.reserve(FIRST_WINDOW)) return false;
    this.calls.add(call);
    return true;
  }

  /** It waits no more. False: it did not wait. */
  delete(call: C): boolean {
    if (!this.calls.delete(call)) return false;
    this.memory.release(FIRST_WINDOW);
    return true;
  }

  /** All of them, in the order they came; none waits any more. */
  takeAll(): C[] {
    const all = [...this.calls];
    for (const call of all) this.delete(call);
    return all;
  }
}
