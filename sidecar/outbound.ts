/**
 * STORY 2: what happens to a call from the local application, in order.
 *
 *   measure → route → deadline → (per attempt: pick endpoint → attempt timeout → send → observe → again?) → answer
 *
 * Read `accept`, `next` and `onAttemptEnd`; the rest is what they say in detail. Where rules or several clusters leave
 * something to decide, mesh/direction.ts does; where discovery has not answered yet, `wait` holds the call until it has.
 */

import type { Address, RouteConfig, UpstreamConfig } from './config/model.js';
import { attemptAllowedMs } from './core/deadline.js';
import { Ended } from './core/outcome.js';
import { Reasons, reasonMessage } from './core/reason.js';
import { decideRetry, RetryState } from './core/retry.js';
import { Status } from './core/status.js';
import type { UpstreamKnowledge } from './discovery/knowledge.js';
import { factsOf } from './http2/facts.js';
import type { Field } from './http2/hpack/field.js';
import type { HeaderBlock, StableList } from './http2/hpack/header-list.js';
import type { Stream } from './http2/stream.js';
import { Clusters, type MakeUpstream } from './mesh/clusters.js';
import { Direction } from './mesh/direction.js';
import type { Endpoint } from './mesh/endpoint.js';
import { observe } from './mesh/observe.js';
import { OutboundAttempt, OutboundCall } from './mesh/outbound-call.js';
import { retryFacts } from './mesh/retry-facts.js';
import type { Upstream } from './mesh/upstream.js';
import { MAX_WAIT_MS, WaitingCalls } from './mesh/waiting-calls.js';
import { type Call, NEVER, type Story } from './relay/call.js';
import { failureAnswer } from './relay/failure.js';
import {
  extrasWithoutPseudo,
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
import { Routes } from './relay/route-plan.js';

/** How long an ejected endpoint's trial waits for a call that may be tried again, ms. */
const PROBE_PATIENCE_MS = 5000;

export class Outbound implements Story {
  private routes: Routes;
  private hasSafeRoute = false;
  private readonly profile: RequestProfile;
  private readonly clusters: Clusters;
  private readonly direction: Direction;
  /** Where every call goes; null while something has to be decided for each. */
  private plain: Upstream | null = null;
  private readonly waiting: WaitingCalls<OutboundCall>;
  private hasConnected = false;
  readonly name: string;
  /** Counts for `/metrics`. */
  retries = 0;
  attempts = 0;

  constructor(
    private config: UpstreamConfig,
    makeUpstream: MakeUpstream,
    private readonly relay: Relay,
    private readonly replayBytes: number,
  ) {
    this.name = config.name;
    this.profile = requestProfile(config.tls === 'mesh' ? 'https' : 'http', config.name);
    this.routes = this.makeRoutes(config);
    this.clusters = new Clusters(config, makeUpstream);
    this.direction = new Direction(config.name, this.clusters, this.routes, relay.random);
    this.waiting = new WaitingCalls(relay.memory);
    this.settle();
  }

  /** Takes over a changed file. */
  update(config: UpstreamConfig): void {
    this.config = config;
    this.routes = this.makeRoutes(config, this.routes);
    this.direction.routes = this.routes;
    this.clusters.update(config);
    this.settle();
  }

  /** Takes over what discovery found out, whole; calls that waited for it go on. */
  learn(knowledge: UpstreamKnowledge): void {
    // A reload may have ended discovery while an answer was on its way.
    if (this.config.discovery === undefined) return;
    this.routes.forgetRules();
    this.clusters.learn(knowledge);
    this.settle();
  }

  private settle(): void {
    this.plain = this.clusters.plain;
    this.hasSafeRoute = this.config.routes.some(isSafe) || this.clusters.hasRetries;
    this.resumeWaiting();
  }

  private resumeWaiting(): void {
    if (this.waiting.size === 0) return;
    this.relay.nowMs = this.relay.clock.now();
    for (const call of this.waiting.takeAll()) if (this.direction.redirect(call)) this.next(call);
  }

  /** Every cluster of endpoints, the one of most calls first. */
  get upstreams(): readonly Upstream[] {
    return this.clusters.all;
  }

  /** The only cluster of an upstream without traffic rules, else the first. */
  get upstream(): Upstream {
    return this.clusters.all[0]!;
  }

  /** Calls that wait for discovery. */
  get waitingCalls(): number {
    return this.waiting.size;
  }

  /** Why calls may not get through yet; undefined once an endpoint has been reached. */
  notReady(): string | undefined {
    const { all } = this.clusters;
    this.hasConnected ||= all.some(({ endpoints }) => endpoints.some(({ pool }) => pool.isConnected));
    if (this.hasConnected) return undefined;
    if (all.some(({ isKnown }) => !isKnown)) return 'its endpoints are not known yet';
    return all.every(({ endpoints }) => endpoints.length === 0)
      ? 'it has no endpoint'
      : 'no endpoint is connected yet';
  }

  /** Whether an endpoint of this address is connected and not ejected. */
  isAnswering(address: Address): boolean {
    return this.clusters.isAnswering(address);
  }

  /** `listener` is called when connections contradict what discovery said, with the cluster and the reason. */
  setDoubt(listener: (cluster: string, why: string) => void): void {
    this.clusters.setDoubt(listener);
  }

  /** There is a new identity, or the first: calls that waited for it go on. */
  refreshConnections(): void {
    for (const upstream of this.clusters.all) upstream.refreshConnections();
    this.resumeWaiting();
  }

  expireConnections(): void {
    for (const upstream of this.clusters.all) upstream.expireConnections();
  }

  /** No new calls; those under way end in peace. */
  retire(): void {
    for (const call of this.waiting.takeAll()) this.direction.answerNoEndpoint(call);
    for (const upstream of this.clusters.all) upstream.retire();
  }

  stop(): void {
    for (const upstream of this.clusters.all) upstream.stop();
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
    if (match === null) return void this.direction.answerUnknownRoute(call, facts.path);
    call.match = match;
    if (this.plain !== null) call.upstream = this.plain;
    else if (!this.direction.direct(call, match, facts.path)) return;
    call.plan = call.match.plan;

    const allowed = this.direction.allowedMs(call);
    call.deadlineMs = call.startMs + allowed;
    if (allowed <= 0) return this.onDeadline(call);

    call.upstream.budget.deposit(call.startMs);
    this.next(call);
  }

  /** Starts an attempt at the best endpoint there is. */
  private next(call: OutboundCall): void {
    const now = this.relay.nowMs;
    const { upstream } = call;
    let probed: Endpoint | undefined;
    let endpoint: Endpoint | undefined;
    if (call.attempts === 0) {
      // Only a first attempt may be an ejected endpoint's trial: a retry is somebody's last chance.
      probed = upstream.takeProbe(this.probeAsOfMs(call, now));
      endpoint = probed ?? upstream.pick(call.tried as Endpoint[], now, call.directed?.key);
    } else {
      endpoint = upstream.pickAgain(call.tried as Endpoint[], now, call.directed?.key);
    }
    if (endpoint === undefined) return this.withoutEndpoint(call);
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
    observe(call, attempt, this.relay);
    if (attempt.ended === Ended.trailers && attempt.status === Status.OK) return call.finishWith(attempt);
    const isUnarmed = attempt.ended === Ended.connectError && !call.upstream.isArmed;
    if (isUnarmed && this.wait(call)) return;
    if (this.tryAgain(call, attempt)) return;
    if (attempt.ended === Ended.trailers && attempt.trailers !== null) return call.finishWith(attempt);
    const { reason, message } = failureAnswer(
      attempt,
      attempt.endpoint.label,
      call.match.plan.config.attemptTimeoutMs,
    );
    call.answer(reason, message);
  }

  /** There is none, or nobody has said yet which there are. */
  private withoutEndpoint(call: OutboundCall): void {
    if (call.upstream.isKnown) return void this.direction.answerNoEndpoint(call);
    if (this.wait(call)) return;
    const isLate = this.relay.nowMs >= call.startMs + MAX_WAIT_MS;
    const detail = isLate ? 'discovery has not answered' : 'too many calls wait for them';
    const values = { upstream: this.name, detail };
    call.answer(Reasons.discoveryPending, reasonMessage(Reasons.discoveryPending, values));
  }

  /** What it needs will come: endpoints from discovery, or our first identity. False: no room, or too late. */
  private wait(call: OutboundCall): boolean {
    const untilMs = call.startMs + MAX_WAIT_MS;
    if (this.relay.nowMs < untilMs && this.waiting.add(call)) {
      call.resumeAt(untilMs);
      return true;
    }
    this.waiting.delete(call);
    return false;
  }

  // ---- in detail ----

  private tryAgain(call: OutboundCall, attempt: OutboundAttempt): boolean {
    const now = this.relay.nowMs;
    call.tried = [...call.tried, attempt.endpoint];
    // Rules changed meanwhile, and its cluster is gone.
    if (call.upstream.isRetired && !call.isCommitted && !this.direction.redirect(call)) return true;
    call.retry ??= new RetryState();
    const { retry } = call;
    retry.attempts = call.attempts;
    const wait = decideRetry(
      retry,
      retryFacts(call, attempt, now),
      call.match.plan.config,
      call.upstream.budget,
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
    if (call.upstream.isRetired && !this.direction.redirect(call)) return;
    this.next(call);
  }

  onAttemptTimeout(call: OutboundCall, attempt: OutboundAttempt): void {
    this.onAttemptEnd(call, attempt);
  }

  onDeadline(call: OutboundCall): void {
    if (call.attempt !== null) observe(call, call.attempt as OutboundAttempt, this.relay);
    const limitMs = Math.round(call.deadlineMs - call.startMs);
    const message = reasonMessage(Reasons.deadlineExceeded, { limitMs });
    const waited = this.waiting.delete(call) ? ` while waiting for ${this.missing(call)}` : '';
    call.answer(Reasons.deadlineExceeded, message + waited);
  }

  private missing({ upstream }: OutboundCall): string {
    return upstream.isKnown ? 'an identity to connect with' : `the endpoints of ${this.name}, not known yet`;
  }

  onIdle(call: OutboundCall): void {
    const attempt = call.attempt as OutboundAttempt | null;
    if (attempt !== null) {
      attempt.abort(Ended.deadline);
      observe(call, attempt, this.relay);
    }
    this.waiting.delete(call);
    call.answer(
      Reasons.idleTimeout,
      reasonMessage(Reasons.idleTimeout, { limitMs: call.plan.idleTimeoutMs }),
    );
  }

  onCancelled(call: OutboundCall): void {
    if (call.attempt !== null) observe(call, call.attempt as OutboundAttempt, this.relay);
    this.waiting.delete(call);
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
