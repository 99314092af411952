import { healthStatus } from '../codec/health.js';
import { LocalReplyReasons } from '../core/outcome/local-reply-reason.js';
import { MAX_ASKED } from '../health/model/asked-health.js';
import type { HealthResponder } from '../health/model/responder.js';
import { makeField } from '../http2/hpack/field.js';
import { StableList } from '../http2/hpack/header-list.js';
import { NO_FIELDS } from '../http2/stream.js';
import { CallEvent, step } from '../relay/call-phase.js';
import { setDeadline } from '../relay/call-timer.js';
import { type LocalReply, makeLocalReply } from '../relay/local-reply.js';
import { dropBuffer } from '../relay/request-buffer.js';
import { sendLocalReply } from '../relay/response.js';
import { timeAllowedMs } from '../relay/route-table.js';
import { WheelTimer } from '../runtime/time/wheel-entry.js';
import type { DataPlaneContext } from '../transport/context.js';
import { type InboundCall, nameOfCaller } from './call.js';

/** A change of health is told within this time, ms. */
const LOOK_MS = 250;
/** Watches of one calling service, one for each connection that a listener holds by default. */
export const MAX_WATCHES_PER_CALLER = 1_024;
/** Of all callers together. */
const MAX_WATCHES = 4_096;

const HEAD = StableList.of([makeField(':status', '200'), makeField('content-type', 'application/grpc')]);

interface Watch {
  readonly service: string;
  readonly health: HealthResponder;
  /** The status that was told last, −1: none. */
  told: number;
}

/**
 * Answers `Health/Watch` of peers in the model's place. A watch lasts for as long as its caller likes, so at the model each
 * would take a stream from the calls. It lasts
 * beyond the timeouts of its route, as it is silent while nothing changes, and ends when its connection retires.
 */
export class HealthWatches {
  private readonly open = new Map<InboundCall, Watch>();
  private readonly callers = new Map<string, number>();
  private readonly timer = new WheelTimer(() => this.look());

  constructor(
    private readonly service: string,
    private readonly context: DataPlaneContext,
  ) {}

  get size(): number {
    return this.open.size;
  }

  /** Answers the call from now on. Returned is the reply where it is refused. */
  begin(call: InboundCall, watched: string, health: HealthResponder): LocalReply | null {
    const refusal = this.refusalOf(call, watched, health);
    if (refusal !== null) return refusal;
    const caller = nameOfCaller(call);
    const watch: Watch = { service: watched, health, told: -1 };
    this.open.set(call, watch);
    this.callers.set(caller, (this.callers.get(caller) ?? 0) + 1);
    const { config } = call.match!.plan;
    call.plan = { ...call.plan, idleTimeoutMs: 0 };
    // A route for unary calls has a timeout.
    setDeadline(call, call.startMs + timeAllowedMs({ ...config, timeoutMs: 0 }, call.block));
    step(call, CallEvent.commit);
    dropBuffer(call);
    call.session.connection.sendHeaders(call.stream, HEAD, NO_FIELDS, false);
    this.tell(call, watch);
    if (!this.timer.isScheduled) this.context.wheel.add(this.timer, this.context.nowMs + LOOK_MS);
    return null;
  }

  private refusalOf(call: InboundCall, watched: string, health: HealthResponder): LocalReply | null {
    const { service, open, callers } = this;
    const source = nameOfCaller(call);
    const own = callers.get(source) ?? 0;
    if (own >= MAX_WATCHES_PER_CALLER) {
      const detail = `it has ${own} health watches open, the most that one caller may have`;
      return makeLocalReply(LocalReplyReasons.tooManyStreams, { source, service, detail });
    }
    const isFull = open.size >= MAX_WATCHES;
    if (!isFull && health.beginWatch(watched)) return null;
    const detail = isFull
      ? `${open.size} health watches are open, the most of all callers`
      : `${MAX_ASKED} services are watched that only the model knows, the most of all callers`;
    return makeLocalReply(LocalReplyReasons.tooManyStreams, { source, service, detail });
  }

  /** The call is over. */
  leave(call: InboundCall): void {
    const watch = this.open.get(call);
    if (watch === undefined) return;
    this.open.delete(call);
    const caller = nameOfCaller(call);
    const left = this.callers.get(caller)! - 1;
    if (left === 0) this.callers.delete(caller);
    else this.callers.set(caller, left);
    watch.health.endWatch(watch.service);
    if (this.open.size === 0) this.context.wheel.cancel(this.timer);
  }

  private look(): void {
    const { context, service } = this;
    context.nowMs = context.clock.now();
    for (const [call, watch] of this.open) {
      if (call.session.isRetiring)
        sendLocalReply(call, makeLocalReply(LocalReplyReasons.draining, { service }));
      else this.tell(call, watch);
    }
    if (this.open.size > 0) context.wheel.add(this.timer, context.nowMs + LOOK_MS);
  }

  private tell(call: InboundCall, watch: Watch): void {
    const status = watch.health.statusOf(watch.service);
    // A peer that does not read gets the status of then.
    if (status === undefined || status === watch.told || call.stream.pendingBytes > 0) return;
    watch.told = status;
    const message = healthStatus(status);
    call.responseBytes += message.length;
    call.session.connection.sendData(call.stream, message, 0, message.length, false);
  }
}
