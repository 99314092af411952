import { framed, PREFIX_BYTES } from '../../../codec/grpc-message.js';
import { MODEL_INFER } from '../../../codec/inference.js';
import { type CallTally, RECENT_CALLS } from '../../../core/models/rollout.js';
import { AttemptEnd, classify, Outcome } from '../../../core/outcome/outcome.js';
import { Status, statusName } from '../../../core/outcome/status.js';
import type { UnaryAnswer, UnaryOptions } from '../../../health/model/grpc-client.js';
import { headerViewOf } from '../../../http2/header-view.js';
import type { InboundCall } from '../../../inbound/call.js';
import type { CallTap } from '../../../inbound/call-tap.js';
import { sequenceOf } from '../../../inbound/sequence-of.js';
import { compareResponses } from '../../../outbound/mirror/response-diff.js';
import { ChunkList } from '../../../transport/chunk-list.js';
import type { DataPlaneContext } from '../../../transport/context.js';
import { ResponseTee } from '../../../transport/response-tee.js';

/** Latencies that a median is taken of: the latest. */
const KEPT = 256;
/** Of copies: the first ones, which come to a process that has just been loaded, are soon forgotten. */
const KEPT_COPIES = 20;
/** Requests and answers up to this size are copied, bytes. */
const MAX_BYTES = 1024 * 1024;
const COPY_TIMEOUT_MS = 30_000;
/** Copies may take the other version this share of its time: it runs on the cores of the one that answers. */
const COPY_SHARE = 0.25;
/** How near numbers without classes have to be, relative to the larger of 1 and the number. */
const TOLERANCE = 1e-3;

/** Sends a copy to the other version. */
export interface CopyTarget {
  call(path: string, request: Uint8Array, options: UnaryOptions): Promise<UnaryAnswer>;
}

/** How the answers of two versions compare. */
export class Agreement {
  compared = 0;
  agreed = 0;
  /** What differed last, in a sentence that says nothing of the payload. */
  difference = '';
  /** Latencies of the copies that went to the version which does not answer. */
  copies = new Latencies(KEPT_COPIES);
  /** Of the current phase; see `RefusalPairs`. */
  sampled = 0;
  alike = 0;

  /** Copies go to another version from now on: what was counted of answers stays. */
  turn(): void {
    this.copies = new Latencies(KEPT_COPIES);
    this.sampled = 0;
    this.alike = 0;
  }

  note(difference: string): void {
    this.compared++;
    if (difference === '') this.agreed++;
    else this.difference = difference;
  }
}

/** Fewer latencies have no median: of a version that answers streams above all it would be that of a few calls. */
const MIN_TIMED = 10;
/** What a median is at least, ms: a clock that stands still within a turn of the loop measures 0. */
const LEAST_MS = 0.01;

/** How a call of a version ended. `refused`: with a status that is not the server's fault, such as INVALID_ARGUMENT. */
export type CallEnd = 'ok' | 'fault' | 'refused';

/** How calls of a version have ended, and the latest latencies of those that are one answer, ms. */
export class Latencies {
  calls = 0;
  errors = 0;
  refused = 0;
  private phaseCalls = 0;
  private phaseRefused = 0;
  /** Of the calls those that have a latency: a stream lasts as long as its caller has something to say. */
  private timed = 0;
  private readonly latest: number[] = [];
  /** Whether they failed, the latest. */
  private readonly failed: boolean[] = [];
  private recentErrors = 0;
  /** Called after each failure. */
  onError: () => void = () => {};

  constructor(private readonly kept = KEPT) {}

  /** The traffic is another one from now on: refusals are compared within a phase only. */
  beginPhase(): void {
    this.phaseCalls = 0;
    this.phaseRefused = 0;
  }

  note(tookMs: number, end: CallEnd): void {
    this.latest[this.timed % this.kept] = tookMs;
    this.timed++;
    this.recordEnd(end);
  }

  /** The call that ended has begun in this phase. */
  recordPhase(end: CallEnd): void {
    this.phaseCalls++;
    if (end === 'refused') this.phaseRefused++;
  }

  /** A call has ended that has no latency. */
  recordEnd(end: CallEnd): void {
    const isError = end === 'fault';
    if (end === 'refused') this.refused++;
    const place = this.calls % RECENT_CALLS;
    this.recentErrors += Number(isError) - Number(this.failed[place] ?? false);
    this.failed[place] = isError;
    this.calls++;
    if (!isError) return;
    this.errors++;
    this.onError();
  }

  get tally(): CallTally {
    const ordered = [...this.latest].sort((a, b) => a - b);
    const { calls, errors, recentErrors, refused, timed } = this;
    // 0 means that it is not known.
    const medianMs = timed < MIN_TIMED ? 0 : Math.max(LEAST_MS, ordered[Math.floor(ordered.length / 2)]!);
    const phase = { calls: this.phaseCalls, refused: this.phaseRefused };
    return { calls, errors, recentErrors, medianMs, refused, phase };
  }
}

/** A call whose copy goes to the other version once it is answered. */
interface Sample {
  readonly request: Buffer;
  readonly bytes: number;
}

export interface TapCounts {
  /** Of the version whose calls these are. */
  readonly own: Latencies;
  /** Of the version that was served before: how long a call usually takes. */
  readonly before: Latencies;
  readonly agreement: Agreement;
}

/** What is copied. */
export interface Copies {
  readonly to: CopyTarget;
  /** A request that this version refused is sent to the other one as well: only one that it accepts speaks against this one. */
  readonly ofRefused: boolean;
}

/**
 * The calls of one version while another is compared with it: counted, and a sample of them sent to the other one as well. A
 * copy is sent when its call has been answered, one at a time and a quarter of the time at most, of unary inferences that
 * belong to no sequence; it is held within what the memory budget has beside calls. The call
 * waits for nothing of it.
 */
export class VersionTap implements CallTap {
  private readonly samples = new Map<InboundCall, Sample>();
  private isCopying = false;
  private isClosed = false;
  /** No copy is taken before then, ms. */
  private restUntilMs = 0;
  private readonly sinceMs: number;

  constructor(
    private readonly context: DataPlaneContext,
    private readonly counts: TapCounts,
    /** Absent: nothing is copied. */
    private readonly copies?: Copies,
  ) {
    this.sinceMs = context.nowMs;
  }

  onStart(call: InboundCall): void {
    if (this.copies === undefined || this.isCopying || this.samples.size > 0) return;
    if (this.context.nowMs < this.restUntilMs || !isCopied(call)) return;
    const bytes = call.buffered!.pinnedBytes;
    if (!this.context.memory.reserveAside(bytes)) return;
    call.tee ??= new ResponseTee(this.context.memory, MAX_BYTES);
    this.counts.agreement.sampled++;
    this.samples.set(call, { request: call.buffered!.whole(), bytes });
  }

  onEnd(call: InboundCall, status: number): void {
    const { attempt, tee } = call;
    const sample = this.samples.get(call);
    this.samples.delete(call);
    const isCounted = attempt !== null && status !== Status.CANCELLED;
    const end = isCounted ? this.endOf(call, attempt.startMs, status) : 'ok';
    const { own } = this.counts;
    // A refusal is quick and a timeout slow, whatever the version: a share of them that changes is no change of its speed.
    if (isCounted && end === 'ok' && call.plan.holdsResponse)
      own.note(this.context.nowMs - attempt.startMs, end);
    else if (isCounted) own.recordEnd(end);
    // Calls that were under way when the traffic changed are not part of what both versions get now.
    if (isCounted && attempt.startMs >= this.sinceMs) own.recordPhase(end);
    if (sample === undefined) return;
    const answer = tee?.response ?? null;
    if (isCounted && tee?.missing === '' && answer !== null && status === Status.OK)
      void this.copy(sample, { answer: copyOf(answer) });
    else if (isCounted && end === 'refused' && this.copies?.ofRefused === true && isComparable(status))
      void this.copy(sample, { refusal: status });
    else this.context.memory.release(sample.bytes);
  }

  /** Whether the version is at fault: the caller's own mistakes and a deadline that no version could have met say nothing of it. */
  private endOf(call: InboundCall, startMs: number, status: number): CallEnd {
    if (status === Status.OK) return 'ok';
    const allowedMs = call.deadlineMs - startMs;
    const usualMs = status === Status.DEADLINE_EXCEEDED ? this.counts.before.tally.medianMs : 0;
    const outcome = classify(
      AttemptEnd.trailers,
      status,
      this.context.nowMs - startMs,
      allowedMs,
      usualMs,
      call.match?.plan.outcomes,
      call.isCommitted ? 0 : allowedMs,
    );
    if (outcome === Outcome.success) return 'ok';
    return outcome === Outcome.fault ? 'fault' : 'refused';
  }

  /** Nothing more is looked at: lets go of what it holds for calls that are under way. A copy on its way counts for nothing. */
  close(): void {
    this.isClosed = true;
    for (const { bytes } of this.samples.values()) this.context.memory.release(bytes);
    this.samples.clear();
  }

  private async copy({ request, bytes }: Sample, end: SampledEnd): Promise<void> {
    const { clock, memory } = this.context;
    this.isCopying = true;
    const sinceMs = clock.now();
    const options = { timeoutMs: COPY_TIMEOUT_MS, maxBytes: MAX_BYTES };
    const copy = await this.copies!.to.call(MODEL_INFER, request.subarray(PREFIX_BYTES), options);
    const tookMs = clock.now() - sinceMs;
    this.restUntilMs = clock.now() + tookMs * (1 / COPY_SHARE - 1);
    this.isCopying = false;
    memory.release(bytes);
    // Its connection was closed with the tap: that says nothing about the version.
    if (this.isClosed) return;
    const { agreement } = this.counts;
    if (copy.kind === 'message') agreement.copies.note(tookMs, 'ok');
    else if (!isRefusal(copy)) agreement.copies.recordEnd('fault');
    if ('refusal' in end && isRefusal(copy)) agreement.alike++;
    const found = 'refusal' in end ? refusedAlone(end.refusal, copy) : differenceOf(end.answer, copy);
    if (found !== undefined) agreement.note(found);
  }
}

/** How the version that was called ended a sampled call. */
type SampledEnd = { readonly answer: ChunkList } | { readonly refusal: number };

/** A copy has none of the caller's metadata, so that it may be refused where the call was not: such an end says nothing. */
const BY_METADATA: ReadonlySet<number> = new Set<number>([Status.UNAUTHENTICATED, Status.PERMISSION_DENIED]);

/** Ends that follow from the request alone: the other version is asked the same. */
const BY_REQUEST: ReadonlySet<number> = new Set<number>([
  Status.INVALID_ARGUMENT,
  Status.NOT_FOUND,
  Status.ALREADY_EXISTS,
  Status.FAILED_PRECONDITION,
  Status.OUT_OF_RANGE,
  Status.UNIMPLEMENTED,
]);

function isComparable(status: number): boolean {
  return BY_REQUEST.has(status);
}

function isRefusal(copy: UnaryAnswer): boolean {
  return copy.kind === 'status' && BY_REQUEST.has(copy.status);
}

/** Whether only one version refused the request; empty: both did, undefined: that cannot be said. */
function refusedAlone(status: number, copy: UnaryAnswer): string | undefined {
  if (copy.kind === 'message')
    return `it ended with ${statusName(status)}, and the version before answers the same request`;
  return isRefusal(copy) ? '' : undefined;
}

/** Whole, unary, plain, and no part of a sequence. */
function isCopied(call: InboundCall): boolean {
  const { buffered, plan } = call;
  if (!call.requestEnded || !call.isReplayable || !plan.holdsResponse || buffered === null) return false;
  if (buffered.bytes > MAX_BYTES || buffered.bytes <= PREFIX_BYTES) return false;
  if (headerViewOf(call.block).path !== MODEL_INFER) return false;
  const { buffer, start } = buffered.at(0);
  return buffer[start] === 0 && sequenceOf(call) === null;
}

/** The bytes of an answer, which the call is about to let go of. */
function copyOf(answer: ChunkList): ChunkList {
  return listOf(Buffer.from(answer.whole()));
}

function listOf(bytes: Buffer): ChunkList {
  const list = new ChunkList();
  list.add(bytes, 0, bytes.length);
  return list;
}

/**
 * How the copy's answer differs from the call's; empty: it does not, undefined: that cannot be said. Where there are classes
 * the largest one counts: a version that was trained anew has other numbers, and should have the same classes.
 */
function differenceOf(answer: ChunkList, copy: UnaryAnswer): string | undefined {
  if (copy.kind === 'status' && BY_METADATA.has(copy.status)) return undefined;
  if (copy.kind === 'status')
    return `it ended with ${statusName(copy.status)}: ${copy.message.replace(/\s+/g, ' ').slice(0, 200)}`;
  if (copy.kind === 'silent') return copy.why;
  const found = compareResponses(answer, listOf(framed(copy.message)), { tolerance: TOLERANCE, seed: 0 });
  if (found.kind === 'not-compared') return undefined;
  if (found.kind === 'same') return '';
  if (found.about === 'values' && found.argmax === true) return '';
  return found.why;
}
