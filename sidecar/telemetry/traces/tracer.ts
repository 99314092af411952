import { MetadataKey } from '../../core/metadata-key.js';
import { metadataValue } from '../../http2/header-view.js';
import { type HeaderField, makeField } from '../../http2/hpack/field.js';
import type { HeaderBlock } from '../../http2/hpack/header-list.js';
import { Token } from '../../http2/hpack/tokens.js';
import type { CallClock } from '../access-log.js';
import type { EndedCall, Recorder } from '../call-record.js';
import { isPlainSuccess, isRetried } from '../ended-call.js';
import { parentOf, requestIdOf, traceStateOf } from '../trace-context.js';
import { Allowance } from './allowance.js';
import { CallSpans, countSpans } from './call-spans.js';
import {
  type CallTrace,
  type CallTracer,
  type TracedAttempt,
  type TracedCall,
  UNTRACED,
} from './call-trace.js';
import { newSpanId, newTraceId, traceIdFrom } from './ids.js';
import { Sampler } from './sampler.js';
import type { SpanQueue } from './span-queue.js';
import type { WallOffset } from './wall-offset.js';

/** Which calls are traced. */
export interface TracerSettings {
  /** Share of the calls without a trace that begin one. */
  readonly sample: number;
  /** Whether a call in a trace is exported: as its caller says, or by `sample`. */
  readonly parent: 'follow' | 'ignore';
  /** Calls beyond the sample whose spans are exported because they failed, each second. */
  readonly errorsPerSecond: number;
  /** Which calls get an `x-request-id` where they have none. */
  readonly requestIds: 'traced' | 'all';
}

/** Calls whose spans were queued, by why. */
export interface TracedCalls {
  sampled: number;
  failed: number;
}

/**
 * Decides which calls are traced, tells their endpoints, and makes spans of them once they are over. Of a call that is not
 * sampled nothing is kept; when it fails, is retried or is degraded, its spans are made of what its record says.
 */
export class Tracer implements CallTracer, Recorder {
  readonly calls: TracedCalls = { sampled: 0, failed: 0 };
  private readonly errors: Allowance;
  private readonly spans: CallSpans;
  private readonly sampler: Sampler;

  constructor(
    private readonly settings: TracerSettings,
    private readonly source: CallClock,
    private readonly queue: SpanQueue,
    private readonly wall: WallOffset,
  ) {
    this.errors = new Allowance(settings.errorsPerSecond, source.nowMs);
    this.spans = new CallSpans(source.random);
    this.sampler = new Sampler(settings.sample, source.random);
  }

  // ---- as attempts are sent ----

  onward(call: TracedCall, attempt: TracedAttempt, extras: readonly HeaderField[]): readonly HeaderField[] {
    call.trace ??= this.enter(call.block);
    // An attempt has failed: the call is exported, and the spans of those that follow may connect.
    if (!call.trace.isSampled && call.attempts > 1 && !attempt.isHedge) this.promote(call);
    const { trace } = call;
    if (trace === UNTRACED) return extras;
    if (attempt.spanId === '') attempt.spanId = newSpanId(this.source.random);
    const fields = extras.filter((field) => isKept(field, trace));
    if (trace.isSent) fields.push(makeField('traceparent', parentField(trace, attempt.spanId)));
    if (trace.isRequestIdMade) fields.push(makeField('x-request-id', trace.requestId));
    return fields;
  }

  /** Decides about a call by what came with it. */
  private enter(block: HeaderBlock): CallTrace {
    const { settings, source } = this;
    const parent = parentOf(block);
    if (parent === undefined) {
      const isSampled = this.sampler.take() && metadataValue(block, MetadataKey.traces) === undefined;
      return isSampled || settings.requestIds === 'all' ? this.root(block, isSampled) : UNTRACED;
    }
    const isSampled = settings.parent === 'follow' ? parent.isSampled : this.sampler.take();
    const requestId = requestIdOf(block);
    return {
      traceId: parent.traceId,
      spanId: newSpanId(source.random),
      parentId: parent.spanId,
      isSampled,
      isSent: true,
      requestId: requestId ?? (this.makesRequestId(isSampled) ? parent.traceId : ''),
      isRequestIdMade: requestId === undefined && this.makesRequestId(isSampled),
      keepsState: traceStateOf(block) !== '',
    };
  }

  /** Where the caller sent none that is an id. */
  private makesRequestId(isTraced: boolean): boolean {
    return isTraced || this.settings.requestIds === 'all';
  }

  /** The first span of a trace. */
  private root(block: HeaderBlock, isSampled: boolean): CallTrace {
    const { random } = this.source;
    const requestId = requestIdOf(block);
    const traceId = (requestId && traceIdFrom(requestId)) ?? newTraceId(random);
    return {
      traceId,
      spanId: newSpanId(random),
      parentId: '',
      isSampled,
      isSent: isSampled,
      requestId: requestId ?? traceId,
      isRequestIdMade: requestId === undefined,
      // That of a trace which is none.
      keepsState: false,
    };
  }

  /** The call is exported although it is not in the sample, as far as that many are. */
  private promote(call: { trace: CallTrace | null; readonly block: HeaderBlock }): void {
    if (!this.errors.take(this.source.nowMs)) return;
    const known = call.trace === null || call.trace === UNTRACED ? this.root(call.block, true) : call.trace;
    call.trace = { ...known, isSampled: true, isSent: true };
  }

  // ---- at the end of a call ----

  record(call: EndedCall, status: number): void {
    try {
      this.export(call, status);
    } catch {
      // A call is worth more than its trace, and goes on.
      this.queue.countDropped('encode', 1);
    }
  }

  /** In this order: a full queue costs nothing but a count, and takes no allowance of errors. */
  private export(call: EndedCall, status: number): void {
    const isNotable = !isPlainSuccess(call, status) || isRetried(call);
    if (call.trace?.isSampled !== true && !isNotable) return;
    // Refused before anything was sent.
    call.trace ??= this.enter(call.block);
    const why = call.trace.isSampled ? 'sampled' : 'failed';
    if (!this.queue.hasRoom) return this.queue.countDropped('full', countSpans(call));
    if (!call.trace.isSampled) this.promote(call);
    if (!call.trace.isSampled) return this.queue.countDropped('error-limit', countSpans(call));
    this.calls[why]++;
    const { spans, source, queue } = this;
    spans.write(call, { status, nowMs: source.nowMs, offsetMs: this.wall.read() });
    queue.add(spans.writer.bytes, spans.writer.at, countSpans(call));
  }
}

/** What else the request has said of its trace is replaced. */
function isKept({ token }: HeaderField, { isSent, keepsState, isRequestIdMade }: CallTrace): boolean {
  if (token === Token.traceparent) return !isSent;
  if (token === Token.tracestate) return !isSent || keepsState;
  // One that is no id.
  return token !== Token.xRequestId || !isRequestIdMade;
}

/** Version 00, whatever that of the caller is (section 3.2.2.1). */
function parentField({ traceId, isSampled }: CallTrace, spanId: string): string {
  return `00-${traceId}-${spanId}-${isSampled ? '01' : '00'}`;
}
