/**
 * What bounds the calls of one upstream: how many may be under way, how many may wait for a connection, and which wait
 * until it is known where they can go. Who is over a bound is refused here.
 */

import type { Upstream } from '../cluster/upstream.js';
import type { UpstreamConfig } from '../config/model.js';
import {
  type LocalReplyReason,
  LocalReplyReasons,
  reasonMessage,
} from '../core/outcome/local-reply-reason.js';
import { CircuitBreakerLimits } from '../core/retry/circuit-breaker.js';
import type { Call } from '../relay/call.js';
import { resumeAt } from '../relay/call-timer.js';
import type { DataPlaneContext } from '../transport/context.js';
import { FIRST_WINDOW, type MemoryBudget } from '../transport/memory-budget.js';
import type { OutboundCall } from './call.js';

/** Answers a call that can go nowhere, unless something else can be done for it. */
export type Refuse = (call: OutboundCall, reason: LocalReplyReason, message: string) => void;

export class CircuitBreaker {
  /** Null: as many calls as may come. */
  limits: CircuitBreakerLimits | null = null;
  private readonly waiting: WaitingCalls<OutboundCall>;

  constructor(
    private readonly name: string,
    private readonly upstream: Upstream,
    private readonly context: DataPlaneContext,
    private readonly refuse: Refuse,
  ) {
    this.waiting = new WaitingCalls(context.memory);
  }

  /** Calls under way go on being counted where they were. */
  configure({ breaker }: UpstreamConfig): void {
    if (breaker === undefined) this.limits = null;
    else if (this.limits === null) this.limits = new CircuitBreakerLimits(breaker);
    else this.limits.settings = breaker;
  }

  /** A call begins, and counts until it leaves. False: it is one too many, and has been refused. */
  admits(call: OutboundCall): boolean {
    const { limits } = this;
    if (limits === null || limits.enter()) {
      call.breaker = limits;
      return true;
    }
    return this.refuseOver(call, limits.settings.maxInFlight, 'calls in flight');
  }

  /** It cannot be sent at once. False: as many wait as may, and it has been refused. */
  mayQueue(call: OutboundCall): boolean {
    const { breaker } = call;
    if (breaker === null || breaker.mayQueue(this.pending)) return true;
    return this.refuseOver(call, breaker.settings.maxPending, 'calls waiting');
  }

  /** For what will come: endpoints from discovery, or our first identity. False: no room, or too late. */
  wait(call: OutboundCall): boolean {
    const untilMs = call.startMs + MAX_WAIT_MS;
    if (this.context.nowMs >= untilMs || !this.waiting.add(call)) return false;
    resumeAt(call, untilMs);
    return true;
  }

  /** Nobody has said yet where it could go: it waits, or is refused. */
  waitForDiscovery(call: OutboundCall): void {
    if (!this.mayQueue(call) || this.wait(call)) return;
    const isLate = this.context.nowMs >= call.startMs + MAX_WAIT_MS;
    const detail = isLate ? 'discovery has not answered' : 'too many calls wait for them';
    const values = { upstream: this.name, detail };
    this.refuse(
      call,
      LocalReplyReasons.discoveryPending,
      reasonMessage(LocalReplyReasons.discoveryPending, values),
    );
  }

  /** It waits no more. False: it did not wait. */
  leave(call: OutboundCall): boolean {
    return this.waiting.delete(call);
  }

  /** Calls that wait until it is known where they can go. */
  get waitingCalls(): number {
    return this.waiting.size;
  }

  /** Those, in the order they came; none waits any more. */
  takeWaiting(): readonly OutboundCall[] {
    return this.waiting.takeAll();
  }

  /** Those, and the attempts that wait for a connection. */
  private get pending(): number {
    let n = this.waiting.size;
    for (const { endpoints } of this.upstream.all) for (const { pool } of endpoints) n += pool.waitingCount;
    return n;
  }

  private refuseOver(call: OutboundCall, limit: number, what: string): false {
    const values = { upstream: this.name, limit, what };
    this.refuse(call, LocalReplyReasons.breakerOpen, reasonMessage(LocalReplyReasons.breakerOpen, values));
    return false;
  }
}

/** Calls that may wait for one upstream. */
const MAX_CALLS = 1024;

/** Longest wait of a call whose deadline is later or that has none, ms. */
export const MAX_WAIT_MS = 15_000;

export class WaitingCalls<C extends Call> {
  private readonly calls = new Set<C>();

  constructor(private readonly memory: MemoryBudget) {}

  get size(): number {
    return this.calls.size;
  }

  /** False: there is no room. A caller may send one window before anybody takes it, so that much is reserved for it. */
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
