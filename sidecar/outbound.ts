/**
 * STORY 2: what happens to a call from the local application, in order.
 *
 *   measure → route → deadline → (per attempt: pick endpoint → attempt timeout → send → observe → again?) → answer
 *
 * Read `accept`, `next` and `onAttemptEnd`; the rest is what they say in detail.
 */

import type { RouteConfig, UpstreamConfig } from './config/model.js';
import { hasUntried } from './core/balance.js';
import { allowedMs, attemptAllowedMs } from './core/deadline.js';
import { Evidence } from './core/ejection.js';
import { parseGrpcTimeout } from './core/grpc-timeout.js';
import { classify, Ended, Outcome, restsOnElapsedTime } from './core/outcome.js';
import { Reasons, reasonMessage } from './core/reason.js';
import { decideRetry, NO_PUSHBACK, parsePushback, RetryState } from './core/retry.js';
import { Status } from './core/status.js';
import { factsOf } from './http2/facts.js';
import type { Field } from './http2/hpack/field.js';
import type { HeaderBlock, StableList } from './http2/hpack/header-list.js';
import { Token } from './http2/hpack/tokens.js';
import type { Stream } from './http2/stream.js';
import type { Endpoint } from './mesh/endpoint.js';
import type { Upstream } from './mesh/upstream.js';
import { Attempt } from './relay/attempt.js';
import { Call, NEVER, type Story } from './relay/call.js';
import { failureAnswer } from './relay/failure.js';
import {
  extrasWithoutPseudo,
  extraValue,
  forwardExtras,
  forwardOddRequest,
  forwardRequest,
  hasPseudoExtras,
  type RequestProfile,
  requestProfile,
  timeoutField,
} from './relay/forward.js';
import type { Link } from './relay/link.js';
import { isGrpcRequest, NotGrpc } from './relay/not-grpc.js';
import type { Relay } from './relay/relay.js';
import { type Match, Routes } from './relay/route-plan.js';

/** How long an ejected endpoint's trial waits for a call that may be tried again, ms. */
const PROBE_PATIENCE_MS = 5000;

class OutboundCall extends Call {
  match!: Match;
  retry: RetryState | null = null;
}

class OutboundAttempt extends Attempt {
  constructor(
    call: Call,
    readonly endpoint: Endpoint,
    nowMs: number,
  ) {
    super(call, endpoint, nowMs);
  }
}

export class Outbound implements Story {
  private routes: Routes;
  private hasSafeRoute: boolean;
  private readonly profile: RequestProfile;
  /** Counts for `/metrics`. */
  retries = 0;
  attempts = 0;

  constructor(
    config: UpstreamConfig,
    readonly upstream: Upstream,
    private readonly relay: Relay,
    private readonly replayBytes: number,
  ) {
    this.profile = requestProfile(config.tls === 'mesh' ? 'https' : 'http', config.name);
    this.routes = this.makeRoutes(config);
    this.hasSafeRoute = config.routes.some(isSafe);
  }

  update(config: UpstreamConfig): void {
    this.routes = this.makeRoutes(config, this.routes);
    this.hasSafeRoute = config.routes.some(isSafe);
    this.upstream.update(config);
  }

  // ---- the story ----

  accept(link: Link, stream: Stream, block: HeaderBlock, ended: boolean): void {
    const facts = factsOf(block);
    if (!isGrpcRequest(facts)) return void new NotGrpc(link, stream, ended);
    const call = new OutboundCall(this.relay, this, link, stream, block, ended);
    const match = this.routes.match(facts.path);
    call.tally = match === null ? this.routes.tallyOf('other') : match.tally;
    call.tally.started++;
    call.tally.inFlight++;
    if (match === null)
      return call.answer(Reasons.unknownRoute, reasonMessage(Reasons.unknownRoute, { path: facts.path }));
    call.match = match;
    call.plan = match.plan;

    const asked = extraValue(block, Token.grpcTimeout);
    const allowed = allowedMs(
      asked === undefined ? NEVER : parseGrpcTimeout(asked),
      match.plan.config.timeoutMs,
    );
    call.deadlineMs = call.startMs + allowed;
    if (allowed <= 0) return this.onDeadline(call);

    this.upstream.budget.deposit(call.startMs);
    this.next(call);
  }

  /** Starts an attempt at the best endpoint there is. */
  private next(call: OutboundCall): void {
    const now = this.relay.nowMs;
    // Only a first attempt may be an ejected endpoint's trial: a retry is somebody's last chance.
    const probed = call.attempts === 0 ? this.upstream.takeProbe(this.probeAsOfMs(call, now)) : undefined;
    const endpoint = probed ?? this.upstream.pick(call.tried as Endpoint[], now);
    if (endpoint === undefined) {
      return call.answer(
        Reasons.noEndpoint,
        reasonMessage(Reasons.noEndpoint, { upstream: this.upstream.name }),
      );
    }
    const attempt = new OutboundAttempt(call, endpoint, now);
    if (probed !== undefined) attempt.probe = endpoint.ejection.probe;
    endpoint.inFlight++;
    endpoint.attempts++;
    this.attempts++;
    const limitMs = call.match.plan.config.attemptTimeoutMs;
    const left = call.deadlineMs - now;
    call.begin(attempt, limitMs > 0 && limitMs < left ? now + attemptAllowedMs(limitMs, left) : NEVER);
  }

  /**
   * A trial that fails costs nobody anything when the call may be tried again, so such calls go first. Where there are
   * none, or none for a while, any call will do.
   */
  private probeAsOfMs(call: OutboundCall, nowMs: number): number {
    return !this.hasSafeRoute || isSafe(call.match.plan.config) ? nowMs : nowMs - PROBE_PATIENCE_MS;
  }

  onAttemptEnd(call: OutboundCall, attempt: OutboundAttempt): void {
    this.observe(call, attempt);
    if (attempt.ended === Ended.trailers && attempt.status === Status.OK) return call.finishWith(attempt);
    if (this.tryAgain(call, attempt)) return;
    if (attempt.ended === Ended.trailers && attempt.trailers !== null) return call.finishWith(attempt);
    const { reason, message } = failureAnswer(
      attempt,
      attempt.endpoint.label,
      call.match.plan.config.attemptTimeoutMs,
    );
    call.answer(reason, message);
  }

  // ---- in detail ----

  /** The one classification of the attempt's end, and everyone who learns from it. */
  private observe(call: OutboundCall, attempt: OutboundAttempt): void {
    if (attempt.isObserved) return;
    attempt.isObserved = true;
    const now = this.relay.nowMs;
    const { endpoint } = attempt;
    const elapsed = now - attempt.startMs;
    endpoint.inFlight--;
    const outcome = classify(
      attempt.ended as Ended,
      attempt.status,
      elapsed,
      call.deadlineMs - attempt.startMs,
      endpoint.usualMs,
    );
    endpoint.outcomes[outcome]!++;
    // What is known only from time that passed proves nothing when we stood still meanwhile.
    const doubtful =
      outcome !== Outcome.success &&
      restsOnElapsedTime(attempt.ended as Ended, attempt.status) &&
      this.relay.hasStalled();
    if (outcome === Outcome.success) {
      if (call.plan.holdsResponse) endpoint.latency.record(elapsed, now);
    } else if (doubtful || outcome === Outcome.refusal) {
      // Nothing to learn.
    } else if (outcome === Outcome.cancelled) {
      if (call.plan.holdsResponse) endpoint.latency.recordAtLeast(elapsed, now);
    } else if (outcome !== Outcome.neutral) {
      endpoint.latency.recordFault(elapsed, endpoint.usualMs, now);
      if (outcome === Outcome.fault) endpoint.lastFault = describe(attempt);
    }
    const evidence = doubtful ? Evidence.doubtful : Evidence.sound;
    const verdict = this.upstream.ejections.record(
      endpoint.ejection,
      outcome,
      attempt.startMs,
      now,
      attempt.probe,
      evidence,
    );
    if (verdict !== 0) this.upstream.refreshAfter(verdict, endpoint);
  }

  private tryAgain(call: OutboundCall, attempt: OutboundAttempt): boolean {
    const now = this.relay.nowMs;
    call.tried = [...call.tried, attempt.endpoint];
    call.retry ??= new RetryState();
    const { retry } = call;
    retry.attempts = call.attempts;
    const trailers = attempt.trailers;
    const pushback = trailers === null ? undefined : fieldValue(trailers, Token.grpcRetryPushbackMs);
    const wait = decideRetry(
      retry,
      {
        ended: attempt.ended as Ended,
        status: attempt.status,
        pushbackMs: pushback === undefined ? NO_PUSHBACK : parsePushback(pushback),
        // Only a sidecar's word counts: what is outside the mesh may say anything.
        isMarkedUnprocessed:
          trailers !== null && !call.plan.stripsResponse && hasField(trailers, 'outrider-unprocessed'),
        isCommitted: call.isCommitted,
        isRequestHeld: call.isReplayable,
        isOtherAvailable: hasUntried(this.upstream.endpoints, call.tried),
        timeLeftMs: call.deadlineMs - now,
      },
      call.match.plan.config,
      this.upstream.budget,
      this.relay.random,
      now,
    );
    if (wait < 0) return false;
    this.retries++;
    call.tally!.retries++;
    if (wait === 0) this.next(call);
    else call.resumeAt(now + wait);
    return true;
  }

  requestHeaders(call: Call): StableList {
    if (hasPseudoExtras(call.block)) return forwardOddRequest(call.block, this.profile);
    return forwardRequest(call.block, this.profile);
  }

  requestExtras(call: Call): readonly Field[] {
    const left = call.deadlineMs - this.relay.nowMs;
    const timeout = left === NEVER ? null : timeoutField(left);
    const extras = forwardExtras(call.block, timeout, null, call.attempts - 1);
    return hasPseudoExtras(call.block) ? extrasWithoutPseudo(extras) : extras;
  }

  onRequestReady(): void {}

  onResume(call: OutboundCall): void {
    this.next(call);
  }

  onAttemptTimeout(call: OutboundCall, attempt: OutboundAttempt): void {
    this.onAttemptEnd(call, attempt);
  }

  onDeadline(call: OutboundCall): void {
    if (call.attempt !== null) this.observe(call, call.attempt as OutboundAttempt);
    const limitMs = Math.round(call.deadlineMs - call.startMs);
    call.answer(Reasons.deadlineExceeded, reasonMessage(Reasons.deadlineExceeded, { limitMs }));
  }

  onIdle(call: OutboundCall): void {
    const attempt = call.attempt as OutboundAttempt | null;
    if (attempt !== null) {
      attempt.abort(Ended.deadline);
      this.observe(call, attempt);
    }
    call.answer(
      Reasons.idleTimeout,
      reasonMessage(Reasons.idleTimeout, { limitMs: call.plan.idleTimeoutMs }),
    );
  }

  onCancelled(call: OutboundCall): void {
    if (call.attempt !== null) this.observe(call, call.attempt as OutboundAttempt);
  }

  onFinish(call: Call, status: number): void {
    call.tally?.finished(status, this.relay.nowMs - call.startMs);
  }

  private makeRoutes(config: UpstreamConfig, before?: Routes): Routes {
    return new Routes(
      config.routes,
      {
        direction: 'outbound',
        service: config.name,
        replayBytes: this.replayBytes,
        stripsResponse: config.tls !== 'mesh',
      },
      this.relay.tally,
      before,
    );
  }
}

/** Whether a failure of one attempt can be made good by another. */
function isSafe(route: RouteConfig): boolean {
  return route.idempotent && route.retry !== undefined;
}

function fieldValue(block: HeaderBlock, token: number): string | undefined {
  const extra = extraValue(block, token);
  if (extra !== undefined) return extra;
  for (const field of block.stable.toFields()) if (field.token === token) return field.value;
  return undefined;
}

function hasField(block: HeaderBlock, name: string): boolean {
  for (const field of block.stable.toFields()) if (field.name === name) return true;
  for (const field of block.extras) if (field.name === name) return true;
  return false;
}

function describe(attempt: Attempt): string {
  if (attempt.ended === Ended.trailers) return `status ${attempt.status}`;
  const names = Object.entries(Ended).find(([, value]) => value === attempt.ended);
  return attempt.reason === '' ? (names?.[0] ?? '') : `${names?.[0]}: ${attempt.reason}`;
}
