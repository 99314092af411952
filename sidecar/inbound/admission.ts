/**
 * How much is let through to the local model: rate limits of callers, the line with its classes and turns, the number of
 * calls at once, and what is shed when memory runs short. What is refused here is answered here; certainly the model
 * has not seen it, and the answer says so and when to come again. Each limit that is not configured costs a null check.
 */

import type { InboundConfig, QueueConfig } from '../config/model.js';
import { AdaptiveLimit } from '../core/admission/gradient-limit.js';
import { MemoryPressure, type MemoryReading, Pressure } from '../core/admission/memory-pressure.js';
import { Priorities } from '../core/admission/priority-class.js';
import { Admission, InboundQueue } from '../core/admission/queue.js';
import { RateLimits } from '../core/admission/rate-limit.js';
import { type LocalReplyReason, Reasons } from '../core/outcome/local-reply-reason.js';
import { AttemptEnd } from '../core/outcome/outcome.js';
import { Status } from '../core/outcome/status.js';
import { ENTRY_OVERHEAD, type HeaderField, makeField } from '../http2/hpack/field.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import { makeLocalReply } from '../relay/local-reply.js';
import { sendLocalReply } from '../relay/response.js';
import type { DataPlaneContext } from '../transport/context.js';
import { type InboundCall, isOneInference, Ticket } from './call.js';

/** Longest time that a caller is told to stay away. */
const MAX_PUSHBACK_MS = 60_000;
/** Memory comes back with the next collection or not at all. */
const MEMORY_PUSHBACK_MS = 1_000;

/** What counts for all calls of peers together, whichever model they ask for. */
export class SharedLimits {
  /** Null: nobody can tell how much memory there is. */
  readonly memory: MemoryPressure | null;
  /** Null: callers may call as often as they like. */
  rates: RateLimits | null = null;

  constructor(config: InboundConfig, readMemory: (() => MemoryReading) | undefined) {
    this.memory = readMemory === undefined ? null : new MemoryPressure(readMemory);
    this.update(config);
  }

  /** What limits have learnt, they keep. */
  update({ rateLimits: rules = [] }: InboundConfig): void {
    this.rates = rules.length === 0 ? null : new RateLimits(rules, this.rates ?? undefined);
  }
}

export class InboundAdmission {
  readonly queue: InboundQueue<Ticket>;
  priorities: Priorities | null = null;
  /** Null: the number of calls at once is the configured one. */
  adaptive: AdaptiveLimit | null = null;
  private isFair = false;
  /** The model may be given calls. */
  private isOpen = false;
  /** Made once: most calls need none. */
  private readonly evict = (ticket: Ticket): void => this.overloaded(ticket, 'others go first');

  constructor(
    private config: InboundConfig,
    private readonly service: string,
    private readonly context: DataPlaneContext,
    readonly shared: SharedLimits,
  ) {
    this.queue = new InboundQueue({ ...config.queue, concurrency: 0 });
    this.update(config);
  }

  /** What waits keeps its place and its class; what limits have learnt, they keep. */
  update(config: InboundConfig): void {
    this.config = config;
    const { priority, adaptive, fair, concurrency } = config.queue;
    this.priorities = priority === undefined ? null : new Priorities(priority);
    this.isFair = fair === true;
    if (adaptive === undefined) this.adaptive = null;
    else if (this.adaptive === null) this.adaptive = new AdaptiveLimit(adaptive, concurrency);
    else this.adaptive.configure(adaptive);
    this.configureQueue();
  }

  /** Whether the model may be given calls; until then they line up. */
  open(isOpen: boolean): void {
    this.isOpen = isOpen;
    this.configureQueue();
  }

  // ---- arrivals ----

  /** Before anything of the request is kept. True: it was refused. */
  rejects(call: InboundCall, path: string): boolean {
    const { memory, rates } = this.shared;
    if (memory !== null && memory.at(this.context.nowMs) !== Pressure.none && this.isShed(memory, call)) {
      this.refuse(call, Reasons.memoryPressure, { service: this.service }, MEMORY_PUSHBACK_MS);
      return true;
    }
    return rates !== null && this.isOverRate(rates, call, path);
  }

  /** Before all of its request is here: what the line would not take now need not be sent. */
  wouldReject(call: InboundCall): void {
    // Where a place is free, nobody is refused.
    if (!this.queue.isFull) return;
    const ticket = this.ticketOf(call);
    this.refuseAs(this.queue.foresee(ticket, call.deadlineMs, this.context.nowMs), ticket);
  }

  /** Into the line, or away at once. True: its run may begin. */
  admits(call: InboundCall): boolean {
    const ticket = call.ticket ?? this.ticketOf(call);
    const { nowMs } = this.context;
    const verdict = this.queue.offer(ticket, call.requestBytes, call.deadlineMs, nowMs, this.evict);
    this.refuseAs(verdict, ticket);
    return verdict === Admission.admitted;
  }

  private ticketOf(call: InboundCall): Ticket {
    const ticket = new Ticket(call);
    call.ticket = ticket;
    if (this.priorities !== null) ticket.lineClass = classOf(call.block, this.priorities);
    if (this.isFair && call.caller !== null) ticket.lineCaller = call.caller.service;
    return ticket;
  }

  /** Nothing, where the verdict is no refusal. */
  refuseAs(verdict: Admission, ticket: Ticket): void {
    const { queue } = this;
    if (verdict === Admission.tooLate)
      this.overloaded(ticket, 'wait and run would be longer than the time left');
    else if (verdict === Admission.tooMany) this.overloaded(ticket, `${queue.waiting} calls are waiting`);
    else if (verdict === Admission.tooLarge)
      this.overloaded(ticket, `${queue.waitingBytes} bytes are waiting`);
  }

  private isShed(memory: MemoryPressure, call: InboundCall): boolean {
    if (memory.at(this.context.nowMs) === Pressure.critical) return true;
    if (this.priorities !== null) return classOf(call.block, this.priorities) > 0;
    // Without classes nobody is less important than others: then it is those who would wait long.
    return this.queue.isFull && this.queue.isHalfFull;
  }

  private isOverRate(rates: RateLimits, call: InboundCall, path: string): boolean {
    const waitMs = rates.take(call.caller?.service ?? '', path, this.context.nowMs);
    if (waitMs <= 0) return false;
    const source = call.caller?.service ?? 'a caller without identity';
    this.refuse(call, Reasons.rateLimited, { source, service: this.service }, waitMs);
    return true;
  }

  private overloaded({ call, lineClass, lineCaller }: Ticket, detail: string): void {
    const waitMs = this.queue.expectedWaitMs(lineClass, lineCaller);
    this.refuse(call, Reasons.overloaded, { service: this.service, detail }, waitMs);
  }

  private refuse(
    call: InboundCall,
    reason: LocalReplyReason,
    values: Readonly<Record<string, string>>,
    waitMs: number,
  ): void {
    sendLocalReply(call, makeLocalReply(reason, values, pushback(waitMs)));
  }

  // ---- ends ----

  /** A run is over, however it ended: its place is free, and the limits learn from it. */
  release(call: InboundCall, ticket: Ticket, nowMs: number): void {
    const isTelling = isOneInference(call);
    if (isTelling && this.adaptive !== null) this.learn(this.adaptive, call, ticket, nowMs);
    if (isTelling && call.attempt?.ended === AttemptEnd.trailers) this.queue.release(ticket, nowMs);
    else this.queue.releaseWithoutSample(ticket, nowMs);
  }

  private learn(adaptive: AdaptiveLimit, call: InboundCall, ticket: Ticket, nowMs: number): void {
    const { attempt } = call;
    if (attempt === null) return;
    const { isFull } = this.queue;
    const isGivenUp = attempt.ended === AttemptEnd.cancelled || attempt.ended === AttemptEnd.deadline;
    const isNews = isGivenUp
      ? adaptive.recordGivenUp(ticket.queueStartedMs, nowMs, isFull)
      : attempt.ended === AttemptEnd.trailers &&
        attempt.status === Status.OK &&
        adaptive.record(ticket.queueStartedMs, nowMs, isFull);
    if (isNews) this.configureQueue();
  }

  private configureQueue(): void {
    const { queue }: { readonly queue: QueueConfig } = this.config;
    const concurrency = this.adaptive?.concurrency ?? queue.concurrency;
    this.queue.configure({ ...queue, concurrency: this.isOpen ? concurrency : 0 });
  }
}

/** The first value of the key counts; one that is longer than every class's name is not read. */
function classOf(block: HeaderBlock, priorities: Priorities): number {
  const field = find(block.extras, priorities.key) ?? find(block.stable.toFields(), priorities.key);
  if (field === undefined || field.size - field.name.length - ENTRY_OVERHEAD > priorities.longest)
    return priorities.otherwise;
  return priorities.classOf(field.value);
}

function find(fields: readonly HeaderField[], name: string): HeaderField | undefined {
  for (const field of fields) if (field.name === name) return field;
  return undefined;
}

function pushback(waitMs: number): HeaderField {
  const ms = Math.min(Math.max(1, Math.ceil(waitMs)), MAX_PUSHBACK_MS);
  return makeField('grpc-retry-pushback-ms', String(ms));
}
