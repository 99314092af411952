import { AttemptTrait } from '../core/outcome/classify-attempt.js';
import { LocalReplyReasons } from '../core/outcome/local-reply-reason.js';
import { AttemptEnd } from '../core/outcome/outcome.js';
import { Status } from '../core/outcome/status.js';
import { EngineDeaths, type LostRequest } from '../core/retry/engine-deaths.js';
import {
  MAX_CRASHES,
  type PoisonTable,
  REMEMBERED_MS,
  type RequestFingerprint,
} from '../core/retry/poison-table.js';
import { MESSAGES_FAR } from '../core/retry/retry-state.js';
import { headerViewOf } from '../http2/header-view.js';
import { NEVER } from '../relay/call.js';
import { resumeAt } from '../relay/call-timer.js';
import { type LocalReply, makeLocalReply } from '../relay/local-reply.js';
import { Next } from '../relay/next.js';
import { creditRequest } from '../relay/request-buffer.js';
import { fingerprintOf } from '../relay/response-cache/request-key.js';
import { CrashRecord, type EngineStall, type OutboundAttempt, type OutboundCall } from './call.js';
import { contentOf, type RequestContent } from './called-model/request-content.js';

/** Moves of one call from engines that fell silent for a short time, with nobody left there, since its answer last got far. */
const MOST_MOVES = 4;
/** The same where no engine has stalled lately without this request: at the next one it is found out whether that hangs. */
const MOST_MOVES_ALONE = 2;
/**
 * What such a silence says against the request at most, once another engine has hung under it: that one stream in a hundred meets a pause of
 * which it sees no end.
 */
const UNSEEN_WEIGHT = Math.log(100);

/**
 * Recognises the requests of one upstream that crash models: notes crashes, and refuses what has crashed too many. Unary
 * requests are recognised by a fingerprint of their content (called-model/request-content.ts); while nothing is on record, a call
 * costs one comparison.
 */
export class PoisonWatch {
  /** Attempts that ran in a process as it crashed, for metrics. */
  crashes = 0;
  private readonly deaths = new EngineDeaths();
  /** The same of engines that stall: how rare that is, is known apart. */
  private readonly stalls = new EngineDeaths();

  constructor(
    private readonly upstream: string,
    private readonly table: PoisonTable,
  ) {}

  /** Nothing is on record. */
  get isIdle(): boolean {
    return this.table.size === 0;
  }

  /** Before a first attempt. `handled`: it waits until all of its request is here, by which alone it can be recognised. */
  awaitRequest(call: OutboundCall, nowMs: number): Next {
    if (call.requestEnded || !call.isReplayable || !call.plan.holdsResponse) return Next.continue;
    if (!this.table.isRefusing(nowMs)) return Next.continue;
    call.ensureWait().isForRequest = true;
    resumeAt(call, NEVER);
    // It may have waited for something else with its window full.
    creditRequest(call, call.requestBytes);
    return Next.handled;
  }

  /** Before a first attempt: the reply to a request that has crashed models; null: it has not. */
  refusal(call: OutboundCall, nowMs: number): LocalReply | null {
    if (!this.table.isRefusing(nowMs)) return null;
    const known = this.of(call);
    if (known === null || !this.table.isRefused(known.fingerprint, nowMs)) return null;
    crashOf(call).hasCrashed = true;
    return this.reply();
  }

  /** What the caller of such a request is told. */
  reply(): LocalReply {
    const values = { crashes: MAX_CRASHES, upstream: this.upstream, minutes: REMEMBERED_MS / 60_000 };
    return makeLocalReply(LocalReplyReasons.poison, values);
  }

  /**
   * The model process went away while it ran this attempt. Where it crashed, the call goes nowhere else. Where that is not known
   * (SIGKILL, or a model that the sidecar does not supervise), one loss says nothing, and the second of one call is a crash: it
   * is unlikely that two processes were ended from outside with the same call in both.
   */
  onProcessLost(call: OutboundCall, attempt: OutboundAttempt, nowMs: number): void {
    const hasCrashed = (attempt.traits & AttemptTrait.modelCrashed) !== 0;
    const crash = crashOf(call);
    const isFirst = !crash.hasLostModel || (call.resumable !== null && !call.resumable.isResuming);
    crash.hasLostModel = true;
    if (hasCrashed || !isFirst) this.convict(call, attempt.startMs, nowMs);
  }

  /**
   * A language-model engine died with this request inside. It runs many at once, any of which may have ended it: each death weighs as much as it
   * is unlikely by chance. An answer that got on since then has ended none. What ends an engine may do so some tokens later the next time. A
   * connection that was lost is a death only where the next one is refused: else a network may have broken several at once.
   */
  onEngineLost(call: OutboundCall, attempt: OutboundAttempt, nowMs: number): void {
    const { deaths } = this;
    const crash = crashOf(call);
    prove(crash);
    const lost = this.lostRequest(call, crash, attempt);
    deaths.record(attempt.silence, lost, nowMs);
    const weight = deaths.weigh(lost, call.cluster.endpoints.length, nowMs);
    const isProven = attempt.ended !== AttemptEnd.connectionLost;
    crash.unproven = isProven ? 0 : weight;
    crash.lastWeight = isProven ? weight : 0;
    crash.weight += crash.lastWeight;
    crash.engine = attempt.silence;
    crash.pool = attempt.endpoint.pool;
    crash.lostMs = nowMs;
    this.judge(call, crash, nowMs);
  }

  /**
   * An engine stalled with this request inside, and the request has left it. That weighs as a death does, by how rare stalls are, until the engine is
   * well again: then it was slow. Where nobody is left there to see that, a short stall weighs nothing, and such moves have a bound of their own.
   */
  onEngineStalled(call: OutboundCall, attempt: OutboundAttempt, nowMs: number): void {
    const engine = attempt.silence!;
    const crash = crashOf(call);
    attempt.isLastMove = this.hasMovedInVain(call, nowMs);
    prove(crash);
    const lost = this.lostRequest(call, crash, attempt);
    this.stalls.record(engine, lost, nowMs);
    const weight = this.stalls.weigh(lost, call.cluster.endpoints.length, nowMs);
    crash.stalls ??= [];
    const isLong = engine.hasHung(nowMs);
    crash.stalls.push({ engine, process: engine.processes, leftMs: nowMs, weight, isLong });
    this.judge(call, crash, nowMs);
  }

  /** The call has left as many engines that fell silent as it may, without anybody there to see whether they went on. */
  hasMovedInVain(call: OutboundCall, nowMs: number): boolean {
    const { crash } = call;
    if (crash === null || crash.stalls === null || hasGotFarSince(call, crash)) return false;
    let moves = 0;
    for (const each of crash.stalls) if (!isKnown(each) && !hasRecovered(each)) moves++;
    if (moves < MOST_MOVES_ALONE) return false;
    // A `message_timeout` ends it before the next engine is known to hang.
    return moves >= MOST_MOVES || (!call.plan.endsSilent && this.stalls.isAlone(requestOf(crash), nowMs));
  }

  /** The request as one that was in an engine which is lost to it. What was before counts no more if its answer has got far since. */
  private lostRequest(
    call: OutboundCall,
    crash: CrashRecord,
    { startMs: sentMs }: OutboundAttempt,
  ): LostRequest {
    if (hasGotFarSince(call, crash)) {
      crash.weight = 0;
      crash.lastWeight = 0;
      crash.stalls = null;
    } else if (crash.engine?.hasGoneOn(crash.lostMs)) {
      crash.weight -= crash.lastWeight;
      crash.lastWeight = 0;
    }
    crash.messagesAtLoss = call.resumable?.messages ?? 0;
    crash.sentMs = sentMs;
    crash.fingerprint ??= this.make(call);
    return { request: requestOf(crash), sentMs };
  }

  /** Before another attempt of a request that was in an engine as its connection was lost: the reply where that engine is known to have died since. */
  refusalAgain(call: OutboundCall, nowMs: number): LocalReply | null {
    const { crash } = call;
    if (crash === null || !prove(crash)) return null;
    this.judge(call, crash, nowMs);
    return crash.hasCrashed ? this.reply() : null;
  }

  private judge(call: OutboundCall, crash: CrashRecord, nowMs: number): void {
    const { deaths, stalls } = this;
    const request = requestOf(crash);
    const unseen = stalls.isAlone(request, nowMs) ? UNSEEN_WEIGHT : 0;
    if (crash.weight + weightOf(crash.stalls, unseen) <= Math.max(deaths.limit, stalls.limit)) return;
    deaths.explain(request);
    stalls.explain(request);
    this.convict(call, crash.sentMs, nowMs);
  }

  private convict(call: OutboundCall, sentMs: number, nowMs: number): void {
    const crash = crashOf(call);
    this.crashes++;
    crash.hasCrashed = true;
    const known = crash.fingerprint ?? this.make(call);
    if (known === null) return;
    this.table.crashed({ ...known, upstream: this.upstream }, sentMs, nowMs);
  }

  /** A success clears the record of its request. */
  answered(call: OutboundCall, attempt: OutboundAttempt): void {
    if (attempt.status !== Status.OK) return;
    const known = this.of(call);
    if (known !== null) this.table.answered(known.fingerprint);
  }

  /** The buffered request is about to be freed: the last moment to take its fingerprint. */
  note(call: OutboundCall): void {
    const known = this.of(call);
    if (known !== null) crashOf(call).fingerprint = known;
  }

  /** The fingerprint of a call that may have a record; null: it has none. */
  private of(call: OutboundCall): RequestFingerprint | null {
    if (call.crash !== null && call.crash.fingerprint !== null) return call.crash.fingerprint;
    const content = this.contentOf(call);
    if (content === null || !this.table.mayHaveRecord(this.upstream, content.bytes)) return null;
    return this.fingerprintOf(call, content);
  }

  /** The fingerprint of a call; null: it is a stream, or its request is not all here. */
  private make(call: OutboundCall): RequestFingerprint | null {
    const content = this.contentOf(call);
    return content === null ? null : this.fingerprintOf(call, content);
  }

  private contentOf(call: OutboundCall): RequestContent | null {
    const { buffered, plan, requestEnded, requestBytes } = call;
    if (!plan.holdsResponse && call.engineCall === null) return null;
    if (!requestEnded || (buffered?.bytes ?? 0) !== requestBytes) return null;
    return contentOf(headerViewOf(call.original).path, buffered);
  }

  private fingerprintOf(call: OutboundCall, { bytes, pieces }: RequestContent): RequestFingerprint {
    return { fingerprint: fingerprintOf(this.upstream, headerViewOf(call.original).path, pieces), bytes };
  }
}

/** The engine whose connection was lost last has refused the next one since: its process is gone. False: nothing new is known. */
function prove(crash: CrashRecord): boolean {
  const { unproven, pool, lostMs } = crash;
  if (unproven === 0 || pool === null || pool.refusedMs < lostMs) return false;
  crash.unproven = 0;
  crash.lastWeight = unproven;
  crash.weight += unproven;
  return true;
}

/** Its answer has got on since it lost an engine: that engine says nothing against it any more. */
function hasGotFarSince({ resumable }: OutboundCall, { messagesAtLoss }: CrashRecord): boolean {
  return (resumable?.messages ?? 0) - messagesAtLoss >= MESSAGES_FAR;
}

/**
 * What engines say against a request that stalled under it, and are known to hang.
 * @param unseen what each of the others says, at most, once one of them is known to.
 */
function weightOf(stalls: readonly EngineStall[] | null, unseen: number): number {
  let weight = 0;
  let unseenWeight = 0;
  let hasHung = false;
  if (stalls === null) return weight;
  for (const each of stalls) {
    if (hasRecovered(each)) continue;
    if (isKnown(each)) weight += each.weight;
    else unseenWeight += Math.min(each.weight, unseen);
    if (each.isLong) hasHung = true;
  }
  return hasHung ? weight + unseenWeight : weight;
}

function hasRecovered(stall: EngineStall): boolean {
  return stall.engine.hasRecovered(stall.process, stall.leftMs);
}

/** Whether it hung, or would be seen to go on. */
function isKnown(stall: EngineStall): boolean {
  return stall.isLong || stall.engine.isWatched(stall.process);
}

/** What deaths and stalls know the request by. */
function requestOf(crash: CrashRecord): unknown {
  return crash.fingerprint?.fingerprint ?? crash;
}

function crashOf(call: OutboundCall): CrashRecord {
  call.crash ??= new CrashRecord();
  return call.crash;
}
