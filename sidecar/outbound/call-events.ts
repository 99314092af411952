import type { Endpoint } from '../cluster/endpoint.js';
import { AttemptEnd } from '../core/outcome/outcome.js';
import { NO_PROBE } from '../core/outlier/ejection.js';
import { headerViewOf } from '../http2/header-view.js';
import type { HeaderField } from '../http2/hpack/field.js';
import type { StableList } from '../http2/hpack/header-list.js';
import { type Call, MessageWatch } from '../relay/call.js';
import { stopAttempts } from '../relay/call-attempts.js';
import { setDeadline } from '../relay/call-timer.js';
import { forwardExtras, forwardRequest } from '../relay/header-rewrite.js';
import { idleReply, type LocalReply } from '../relay/local-reply.js';
import { expireCall, sendLocalReply } from '../relay/response.js';
import { type Match, timeAllowedMs } from '../relay/route-table.js';
import type { SizeReason } from '../telemetry/size-counts.js';
import { timeToldMs, withLimit } from './attempt-timeout.js';
import { Entry, OutboundAttempt, type OutboundCall } from './call.js';
import { onFallbackFinish } from './fallback/chain.js';
import { recordPrimaryDeadline, recordPrimaryStream } from './fallback/primary.js';
import * as hedging from './hedging.js';
import { recordFirstMessage, recordOutcome } from './outcome-recorder.js';
import { deadlineReply, notResumedReply } from './replies.js';
import { noteFirstMessage } from './stream/message-watch.js';
import { beginPace, notePace } from './stream/pace.js';
import { UpstreamState } from './upstream-state.js';

/**
 * The events of an outbound call that decide nothing about its way: the headers of its attempts, its end by time or by its
 * caller, and what it waited for. `Outbound` adds the way.
 */
export abstract class CallEvents extends UpstreamState {
  /** Begins an attempt, or refuses the call. */
  protected abstract attempt(call: OutboundCall): void;
  /** The call can go nowhere. */
  protected abstract refuse(call: OutboundCall, reply: LocalReply): void;
  abstract onAttemptEnd(call: OutboundCall, attempt: OutboundAttempt): void;

  /** One more attempt of the call, counted where it goes to. */
  protected makeAttempt(call: OutboundCall, endpoint: Endpoint, nowMs: number): OutboundAttempt {
    const attempt = new OutboundAttempt(call, endpoint, nowMs);
    endpoint.inFlight++;
    if (attempt.isUnanswered) endpoint.unanswered++;
    endpoint.attempts++;
    this.attempts++;
    return attempt;
  }

  /** The attempt was given up for another one, or with its call. */
  onStopped(call: OutboundCall, attempt: OutboundAttempt): void {
    recordOutcome(call, attempt, this.context);
    if (attempt.ended === AttemptEnd.deadline) this.askForLife(attempt);
    if (attempt.ended === AttemptEnd.superseded) hedging.recordHedgeWin(call, attempt, this.context.nowMs);
  }

  /** The timeout of an attempt ends it as any other end does. */
  onAttemptTimeout(call: OutboundCall, attempt: OutboundAttempt): void {
    this.askForLife(attempt);
    this.onAttemptEnd(call, attempt);
  }

  /** The peer gave no answer in time. A sidecar answers a PING while its model works; of a model that is called directly that is not known. */
  private askForLife({ session, startMs, target }: OutboundAttempt): void {
    if (session !== null && this.config.tls === 'mesh') target.pool.noteNoAnswer(session, startMs);
  }

  matchOf(path: string): Match | null {
    return this.router.routes.match(path);
  }

  requestHeaders(call: Call): StableList {
    return forwardRequest(call.block, this.profile);
  }

  requestExtras(call: OutboundCall, attempt: OutboundAttempt): readonly HeaderField[] {
    const { nowMs } = this.context;
    const leftMs = timeToldMs(call, attempt, nowMs);
    const added = call.resumable === null ? call.marker : call.resumable.field;
    const { tracer } = this.context;
    let extras = forwardExtras(call.block, this.profile, leftMs, added, attempt.number);
    if (tracer !== null) extras = tracer.onward(call, attempt, extras);
    return this.config.tls === 'mesh' ? withLimit(extras, call, attempt, nowMs) : extras;
  }

  onBufferReleased(call: OutboundCall): void {
    call.cluster.sweep?.noteModel(call);
    if (!this.poison.isIdle) this.poison.note(call);
  }

  onStreaming(call: OutboundCall, attempt: OutboundAttempt): void {
    if (attempt.probe !== NO_PROBE) this.probes.answered(call, attempt, this.context.nowMs);
    if (call.fallback !== null) recordPrimaryStream(call);
  }

  /** What a stream is judged by: how long it lasts is up to its caller. */
  onFirstMessage(call: OutboundCall, attempt: OutboundAttempt): void {
    recordFirstMessage(call, attempt, this.context);
    beginPace(call, attempt, this.context.nowMs);
    if (call.coldUntilMs > 0) this.coldStart?.leave(call);
    if (call.plan.watch !== MessageWatch.none) noteFirstMessage(call, attempt, this.context.nowMs);
    const { methodState } = call;
    if (methodState === null) return;
    if (methodState.hedgeSettings !== null) hedging.noteSuccess(call, attempt, this.context.nowMs);
    if (methodState.chain.length > 0) recordPrimaryStream(call);
  }

  onRequestNotKept(call: OutboundCall, why: SizeReason): void {
    if (!call.isCopy) this.sizeLimits.note(call.match.plan.config, why);
  }

  onLongResponse(call: OutboundCall, { endpoint, heldResponse }: OutboundAttempt): void {
    const { config } = call.match.plan;
    const isTooLarge = (heldResponse?.bytes ?? 0) > call.plan.holdBytes;
    this.sizeLimits.note(config, isTooLarge ? 'responseTooLarge' : 'memory');
    const inspector = call.cluster.sweep?.inspector;
    if (inspector != null) inspector.follow(call, endpoint, config.idempotent);
    if (call.observer !== null) call.observer.onLongResponse(call);
  }

  /** The method is a stream, whatever was said or seen of it, and so is this call: it has the times of one, and is judged as one. */
  onNotUnary(call: OutboundCall): void {
    const { path } = headerViewOf(call.original);
    this.kinds.noteStream(path);
    const match = this.router.routesOf(call).match(path);
    if (match === null) return;
    call.match = match;
    call.plan = match.plan;
    const deadlineMs = call.startMs + timeAllowedMs(match.plan.config, call.block);
    if (deadlineMs > call.deadlineMs) setDeadline(call, deadlineMs);
  }

  onCountedMessages(call: OutboundCall, attempt: OutboundAttempt): void {
    if (call.plan.watch === MessageWatch.single) this.onNotUnary(call);
    notePace(call, attempt, this.context.nowMs);
  }

  onResumed(call: OutboundCall): void {
    call.giveExtra();
    this.resumed++;
  }

  onNotResumed(call: OutboundCall, { endpoint }: OutboundAttempt, why: string): void {
    stopAttempts(call, AttemptEnd.cancelled);
    sendLocalReply(call, notResumedReply(call, `${endpoint.label} ${why}`));
  }

  onDeadline(call: OutboundCall): void {
    recordPrimaryDeadline(call);
    call.degraded = '';
    const missing = this.breaker.leave(call) ? this.breaker.missingFor(call) : '';
    expireCall(call, deadlineReply(call, missing));
  }

  onIdle(call: OutboundCall): void {
    stopAttempts(call, AttemptEnd.deadline);
    call.degraded = '';
    expireCall(call, idleReply(call));
  }

  onFinish(call: OutboundCall, status: number): void {
    // However it ended: by its caller, a drain or a shortage of memory as well.
    if (this.breaker.waitingCalls > 0) this.breaker.leave(call);
    if (call.entry !== Entry.done) this.countUnread(call);
    call.stats?.finish(status, this.context.nowMs - call.startMs);
    if (call.breaker !== null) call.leaveBreaker();
    if (call.coldUntilMs > 0) this.coldStart?.leave(call);
    if (call.fallback !== null) onFallbackFinish(call, call.fallback, status);
    if (call.observer !== null) call.observer.onFinish(call, status);
  }

  /** The call ended before its model could be read: it counts under its method. */
  private countUnread(call: OutboundCall): void {
    if (call.entry !== Entry.own) return;
    call.stats = this.matchOf(headerViewOf(call.block).path)?.stats ?? null;
    call.stats?.begin();
    if (call.reason !== '') call.stats?.countReason(call.reason);
  }

  // ---- what calls wait for has come, or will not come ----

  protected override onTargetsChanged(): void {
    super.onTargetsChanged();
    this.resumeWaiting();
  }

  override refreshConnections(): void {
    super.refreshConnections();
    this.resumeWaiting();
  }

  override retire(): void {
    for (const call of this.breaker.takeWaiting()) this.refuse(call, this.router.noEndpoint());
    super.retire();
  }

  private resumeWaiting(): void {
    if (this.breaker.waitingCalls === 0) return;
    this.context.nowMs = this.context.clock.now();
    for (const call of this.breaker.takeWaiting()) {
      const refusal = this.router.reroute(call);
      if (refusal === null) this.attempt(call);
      else this.refuse(call, refusal);
    }
  }
}
