/** The spans of a call that is over: one for the call, and one for each attempt. */

import { AttemptEnd, OUTCOME_NAMES } from '../../core/outcome/outcome.js';
import { SERVER_ERRORS, Status, statusName } from '../../core/outcome/status.js';
import { getOrInsert } from '../../runtime/get-or-insert.js';
import type { Random } from '../../runtime/random.js';
import type { EndedAttempt, EndedCall } from '../call-record.js';
import type { CallStats } from '../call-stats.js';
import { endedName, identityOf, MAX_TEXT, methodOf, peerReason, reasonOf } from '../ended-call.js';
import type { CallUsage } from '../engine-stats.js';
import { traceStateOf } from '../trace-context.js';
import type { CallTrace } from './call-trace.js';
import { newSpanId } from './ids.js';
import { AttributeKey, SpanFlag, SpanKind, SpanWriter } from './span-writer.js';

/** So many encoded methods and endpoints are kept; callers choose the methods. */
const MAX_KEPT = 512;

/** OpenTelemetry, semantic conventions for RPC, gRPC and generative AI; what they do not have begins with `outrider.`. */
const Key = {
  system: new AttributeKey('rpc.system'),
  service: new AttributeKey('rpc.service'),
  method: new AttributeKey('rpc.method'),
  status: new AttributeKey('rpc.grpc.status_code'),
  address: new AttributeKey('server.address'),
  port: new AttributeKey('server.port'),
  direction: new AttributeKey('outrider.direction'),
  ownService: new AttributeKey('outrider.service'),
  upstream: new AttributeKey('outrider.upstream'),
  model: new AttributeKey('outrider.model'),
  caller: new AttributeKey('outrider.caller'),
  reason: new AttributeKey('outrider.reason'),
  degraded: new AttributeKey('outrider.degraded'),
  requestId: new AttributeKey('outrider.request_id'),
  mirrored: new AttributeKey('outrider.mirrored'),
  requestBytes: new AttributeKey('outrider.request_bytes'),
  responseBytes: new AttributeKey('outrider.response_bytes'),
  endpoint: new AttributeKey('outrider.endpoint'),
  ended: new AttributeKey('outrider.ended'),
  outcome: new AttributeKey('outrider.outcome'),
  wait: new AttributeKey('outrider.wait_ms'),
  retry: new AttributeKey('outrider.retry'),
  hedge: new AttributeKey('outrider.hedge'),
  operation: new AttributeKey('gen_ai.operation.name'),
  provider: new AttributeKey('gen_ai.provider.name'),
  requestModel: new AttributeKey('gen_ai.request.model'),
  maxTokens: new AttributeKey('gen_ai.request.max_tokens'),
  inputTokens: new AttributeKey('gen_ai.usage.input_tokens'),
  cachedTokens: new AttributeKey('gen_ai.usage.cache_read.input_tokens'),
  outputTokens: new AttributeKey('gen_ai.usage.output_tokens'),
  firstChunk: new AttributeKey('gen_ai.response.time_to_first_chunk'),
} as const;

/** How a call ended. */
export interface CallEnd {
  /** The gRPC status that the caller got. */
  readonly status: number;
  /** Monotonic ms, as all times of the call. */
  readonly nowMs: number;
  /** From those to ms since 1970. */
  readonly offsetMs: number;
}

/** Spans that a call gets. */
export function countSpans({ lastAttempt }: EndedCall): number {
  let count = 0;
  for (let each = lastAttempt; each !== null; each = each.previous) count++;
  return 1 + count;
}

/** Makes spans of calls, encoded. What recurs (methods, services, endpoints, ends) is encoded once and kept, up to a bound. */
export class CallSpans {
  readonly writer = new SpanWriter();
  private readonly scratch = new SpanWriter();
  private readonly methods = new Map<string, Buffer>();
  private readonly endpoints = new Map<string, Buffer>();
  private readonly sides = new WeakMap<CallStats, Buffer>();
  private readonly ends = new Map<number, Buffer>();

  constructor(private readonly random: Random) {}

  /** Writes the spans of a call whose `trace` is known into `writer`, in place of what was there. @throws RangeError: too large. */
  write(call: EndedCall, end: CallEnd): void {
    const trace = call.trace!;
    const { writer } = this;
    const state = trace.keepsState ? traceStateOf(call.block) : '';
    const method = this.method(methodOf(call.block));
    writer.clear();
    this.beginSpan(trace, trace.spanId, SpanKind.server, call.startMs, end.nowMs, end);
    if (state !== '') writer.state(state);
    writer.blob(method);
    this.callAttributes(call, trace, end.status);
    if (SERVER_ERRORS.has(end.status)) writer.error(reasonOf(call) ?? statusName(end.status));
    writer.endSpan();
    let freeMs = call.startMs;
    const attempts = attemptsOf(call);
    for (let i = 0; i < attempts.length; i++) {
      const attempt = attempts[i]!;
      const endMs = attempt.endedMs === 0 ? end.nowMs : attempt.endedMs;
      const id = attempt.spanId === '' ? newSpanId(this.random) : attempt.spanId;
      this.beginSpan(trace, id, SpanKind.client, attempt.startMs, endMs, end);
      if (state !== '') writer.state(state);
      writer.blob(method);
      // A hedge begins before the attempt beside it ends.
      this.attemptAttributes(call, attempt, i, Math.max(0, attempt.startMs - freeMs));
      const error = errorOf(attempt);
      if (error !== '') writer.error(error);
      writer.endSpan();
      freeMs = endMs;
    }
  }

  /** The span of the call is below that of its caller, those of the attempts are below that of the call. */
  private beginSpan(
    { traceId, spanId, parentId }: CallTrace,
    id: string,
    kind: number,
    startMs: number,
    endMs: number,
    { offsetMs }: CallEnd,
  ): void {
    const isOfCall = kind === SpanKind.server;
    this.writer.beginSpan({
      traceId,
      spanId: id,
      parentId: isOfCall ? parentId : spanId,
      flags: SpanFlag.sampled | SpanFlag.parentIsKnown | (isOfCall ? SpanFlag.parentIsRemote : 0),
      kind,
      startMs: startMs + offsetMs,
      endMs: endMs + offsetMs,
    });
  }

  /** Status, sizes, the caller, and why; empty ones are left out. */
  private callAttributes(call: EndedCall, trace: CallTrace, status: number): void {
    const { writer } = this;
    if (call.stats !== null) writer.blob(this.side(call.stats));
    writer.integer(Key.status, status);
    writer.integer(Key.requestBytes, call.requestBytes);
    writer.integer(Key.responseBytes, call.responseBytes);
    const caller = identityOf(call);
    if (caller !== undefined) writer.text(Key.caller, caller);
    const reason = reasonOf(call);
    if (reason !== undefined) writer.text(Key.reason, reason);
    if (call.degraded !== '') writer.text(Key.degraded, call.degraded.slice(0, MAX_TEXT));
    // One that was made is the trace id.
    if (trace.requestId !== '' && !trace.isRequestIdMade) writer.text(Key.requestId, trace.requestId);
    if (call.isCopy === true) writer.flag(Key.mirrored);
    if (call.engineCall != null) this.engineAttributes(call, call.engineCall.usage);
  }

  /** What a call of a language-model engine asked for and got. */
  private engineAttributes({ stats, startMs }: EndedCall, tokens: CallUsage): void {
    const { writer } = this;
    writer.text(Key.operation, 'text_completion');
    writer.text(Key.provider, tokens.engine);
    if (stats !== null) writer.text(Key.requestModel, stats.service);
    if (tokens.maxTokens >= 0) writer.integer(Key.maxTokens, tokens.maxTokens);
    if (tokens.promptTokens > 0) {
      writer.integer(Key.inputTokens, tokens.promptTokens);
      writer.integer(Key.cachedTokens, tokens.cachedTokens);
    }
    if (tokens.outputTokens === 0) return;
    writer.integer(Key.outputTokens, tokens.outputTokens);
    writer.double(Key.firstChunk, (tokens.firstMs - startMs) / 1000);
  }

  /** @param waitedMs since the call arrived, or the attempt before it ended: in a queue, a pause, or for the request. */
  private attemptAttributes(
    { plan }: EndedCall,
    attempt: EndedAttempt,
    number: number,
    waitedMs: number,
  ): void {
    const { writer } = this;
    writer.blob(this.endpoint(attempt.target.label ?? 'local'));
    writer.blob(this.end(attempt));
    writer.double(Key.wait, waitedMs);
    if (attempt.status >= 0) writer.integer(Key.status, attempt.status);
    if (number > 0) writer.integer(attempt.isHedge ? Key.hedge : Key.retry, number);
    const reason = plan.stripsResponse ? undefined : peerReason(attempt);
    if (reason !== undefined) writer.text(Key.reason, reason);
  }

  /** Name, and what the conventions say of `/package.Service/Method`. */
  private method(path: string): Buffer {
    return kept(this.methods, path, () => {
      const name = path.slice(1);
      const slash = name.lastIndexOf('/');
      return this.blob((writer) => {
        writer.name(name);
        writer.text(Key.system, 'grpc');
        writer.text(Key.service, name.slice(0, Math.max(0, slash)));
        writer.text(Key.method, name.slice(slash + 1));
      });
    });
  }

  /** Direction, and the service or the upstream: as long as its counters are there, so is this. */
  private side(stats: CallStats): Buffer {
    let blob = this.sides.get(stats);
    if (blob === undefined) {
      const { direction, service, model } = stats;
      blob = this.blob((writer) => {
        writer.text(Key.direction, direction);
        writer.text(direction === 'inbound' ? Key.ownService : Key.upstream, service);
        if (model !== '') writer.text(Key.model, model);
      });
      this.sides.set(stats, blob);
    }
    return blob;
  }

  /** Where an attempt went, with host and port where it has them. */
  private endpoint(label: string): Buffer {
    return kept(this.endpoints, label, () => {
      const colon = label.lastIndexOf(':');
      const port = Number(label.slice(colon + 1));
      return this.blob((writer) => {
        writer.text(Key.endpoint, label);
        if (colon <= 0 || !Number.isInteger(port)) return;
        writer.text(Key.address, label.slice(0, colon).replace(/^\[(.*)\]$/, '$1'));
        writer.integer(Key.port, port);
      });
    });
  }

  /** One of a few dozen: every end with every outcome. */
  private end(attempt: EndedAttempt): Buffer {
    const { ended, outcome, isSilent } = attempt;
    return getOrInsert(this.ends, ended * 32 + outcome * 2 + (isSilent ? 1 : 0), () =>
      this.blob((writer) => {
        writer.text(Key.ended, endedName(attempt));
        if (outcome >= 0) writer.text(Key.outcome, OUTCOME_NAMES[outcome]!);
      }),
    );
  }

  private blob(fill: (writer: SpanWriter) => void): Buffer {
    this.scratch.clear();
    fill(this.scratch);
    return this.scratch.copy();
  }
}

/** Encoded once. All are let go when there are too many: those in use are soon back. */
function kept(map: Map<string, Buffer>, key: string, make: () => Buffer): Buffer {
  let blob = map.get(key);
  if (blob === undefined) {
    blob = make();
    if (map.size >= MAX_KEPT) map.clear();
    map.set(key, blob);
  }
  return blob;
}

/** In their order, the last ones where there are many. */
function attemptsOf({ lastAttempt }: EndedCall): EndedAttempt[] {
  const attempts: EndedAttempt[] = [];
  for (let each = lastAttempt; each !== null; each = each.previous) attempts.push(each);
  return attempts.length > 1 ? attempts.reverse() : attempts;
}

/** Of a client each status but OK is an error; what was stopped by this sidecar did not fail. Empty: no error. */
function errorOf(attempt: EndedAttempt): string {
  const { ended, status } = attempt;
  if (ended === AttemptEnd.trailers) return status === Status.OK ? '' : statusName(status);
  return ended < 0 || ended === AttemptEnd.superseded ? '' : endedName(attempt);
}
