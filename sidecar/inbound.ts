/**
 * STORY 1: what happens to a call from a peer, in order.
 *
 *   measure → identify → authorize → route → deadline → queue → local model → answer
 *
 * Read `accept`, `admit` and `onAttemptEnd`; the rest is what they say in detail.
 */

import type { InboundConfig } from './config/model.js';
import { allowedMs } from './core/deadline.js';
import { parseGrpcTimeout } from './core/grpc-timeout.js';
import type { IntentionTable, Verdict } from './core/intentions.js';
import { Ended, isNeverProcessed } from './core/outcome.js';
import type { PermissionList } from './core/permissions.js';
import { Admission, InboundQueue, QueueEntry, QueueState } from './core/queue.js';
import { Reasons, reasonMessage } from './core/reason.js';
import { Status } from './core/status.js';
import { factsOf } from './http2/facts.js';
import { type Field, makeField } from './http2/hpack/field.js';
import type { HeaderBlock, StableList } from './http2/hpack/header-list.js';
import { Token } from './http2/hpack/tokens.js';
import type { Stream } from './http2/stream.js';
import { Attempt } from './relay/attempt.js';
import { Call, NEVER, type Story } from './relay/call.js';
import { callFacts } from './relay/call-facts.js';
import { failureAnswer } from './relay/failure.js';
import {
  extrasWithoutPseudo,
  extraValue,
  forwardExtras,
  forwardOddRequest,
  forwardRequest,
  hasPseudoExtras,
  requestProfile,
  timeoutField,
} from './relay/forward.js';
import type { Link } from './relay/link.js';
import { isGrpcRequest, NotGrpc } from './relay/not-grpc.js';
import type { Pool } from './relay/pool.js';
import type { Relay } from './relay/relay.js';
import { type Match, Routes } from './relay/route-plan.js';

/** Who is at the other end of a connection, and what was last decided about it. */
export class Caller {
  readonly field: Field;
  decidedVersion = -1;
  /** Whatever the call. */
  isAllowed = false;
  /** Where it depends on the call. */
  permissions: PermissionList | null = null;
  constructor(readonly service: string) {
    this.field = makeField('outrider-caller', service);
  }
}

/** Services about the server rather than the model: they hold no place in the model's line. */
const ASIDE = [
  '/grpc.health.v1.Health/',
  '/grpc.reflection.v1.ServerReflection/',
  '/grpc.reflection.v1alpha.ServerReflection/',
];

const INFERENCE_SERVICE = '/inference.GRPCInferenceService/';

/** The inference protocol has questions about server and model beside the work; of other services all is work. */
function isInference(path: string): boolean {
  return !path.startsWith(INFERENCE_SERVICE) || path.endsWith('Infer');
}

/** A call's place in the line. */
class Ticket extends QueueEntry {
  constructor(readonly call: InboundCall) {
    super();
  }
}

class InboundCall extends Call {
  match!: Match;
  ticket: Ticket | null = null;
  caller: Caller | null = null;
  isOffered = false;
}

/** What the local model's runs say about it, for whoever watches over it. Times are monotonic ms. */
export interface ModelEvidence {
  readonly inFlight: number;
  /** Given to the model so far, in flight or not: what was started and is neither, its callers gave up. */
  readonly started: number;
  readonly completed: number;
  /** Inferences that ended with OK: what proves that the model computes. */
  readonly succeeded: number;
  readonly lastCompletionMs: number;
  readonly oldestStartMs: number;
  readonly usualMs: number;
}

export type ModelState =
  | { readonly kind: 'ready' }
  /** Not yet ready for the first time: calls wait in line for it. */
  | { readonly kind: 'starting' }
  /** It was ready and is not: calls are turned away, so that the caller's sidecar tries another replica. */
  | { readonly kind: 'away'; readonly why: string };

export class Inbound implements Story {
  readonly queue: InboundQueue<Ticket>;
  private readonly running = new Set<Ticket>();
  private routes: Routes;
  private readonly profile = requestProfile('http');
  private model: ModelState = { kind: 'starting' };
  private completed = 0;
  private succeeded = 0;
  private lastCompletionMs = 0;
  private usualMs = 0;

  constructor(
    private config: InboundConfig,
    private readonly service: string,
    /** Connections to the local model service: the one place an attempt of this side goes. */
    readonly pool: Pool,
    private intentions: IntentionTable,
    private readonly relay: Relay,
    private readonly replayBytes: number,
  ) {
    this.queue = new InboundQueue({ ...config.queue, concurrency: 0 });
    this.routes = this.makeRoutes(config);
  }

  /** As `setIntentions`, with a changed configuration. */
  update(config: InboundConfig, intentions: IntentionTable, links: Iterable<Link>): void {
    this.config = config;
    this.routes = this.makeRoutes(config, this.routes);
    this.setModel(this.model);
    this.setIntentions(intentions, links);
  }

  /** `links`: the open connections of peers; calls on them that are no longer allowed are ended. */
  setIntentions(intentions: IntentionTable, links: Iterable<Link>): void {
    this.relay.nowMs = this.relay.clock.now();
    this.intentions = intentions;
    for (const link of links) {
      const caller = link.identity as Caller | null;
      if (this.isAllowed(caller)) continue;
      for (const { owner } of link.connection.state.table.all()) {
        if (owner instanceof InboundCall && !this.permits(caller, owner.block)) this.refuse(owner);
      }
    }
  }

  // ---- the story ----

  accept(link: Link, stream: Stream, block: HeaderBlock, ended: boolean): void {
    const facts = factsOf(block);
    if (!isGrpcRequest(facts)) return void new NotGrpc(link, stream, ended);
    const call = new InboundCall(this.relay, this, link, stream, block, ended);
    const match = this.routes.match(facts.path);
    call.tally = match === null ? this.routes.tallyOf('other') : match.tally;
    call.tally.started++;
    call.tally.inFlight++;

    const caller = link.identity as Caller | null;
    call.caller = caller;
    if (caller === null && this.config.mtls === 'strict') {
      return call.answer(Reasons.noIdentity, reasonMessage(Reasons.noIdentity));
    }
    if (!this.isAllowed(caller) && !this.permits(caller, block)) return this.refuse(call);
    if (match === null)
      return call.answer(Reasons.unknownRoute, reasonMessage(Reasons.unknownRoute, { path: facts.path }));
    call.match = match;
    call.plan = match.plan;

    const asked = extraValue(block, Token.grpcTimeout);
    const allowed = allowedMs(
      asked === undefined ? NEVER : parseGrpcTimeout(asked),
      match.plan.config.timeoutMs,
    );
    if (allowed <= 0) return this.onDeadline(call);
    if (allowed !== NEVER) call.setDeadline(call.startMs + allowed);

    if (this.model.kind === 'away') return this.turnAway(call, this.model.why);
    if (ASIDE.some((prefix) => facts.path.startsWith(prefix))) return this.start(call);
    // A unary call joins the line when its request is complete: a slow uploader holds no place.
    if (ended || !match.plan.holdsResponse) this.admit(call);
  }

  onRequestReady(call: InboundCall): void {
    if (call.match === undefined || call.isOffered || call.attempt !== null || call.isFinished) return;
    // As long as there is room to keep it, the rest is waited for outside the line.
    if (call.requestEnded || !call.isReplayable) this.admit(call);
    else call.onSentUp(call.requestBytes);
  }

  /** Into the line, or away at once. */
  private admit(call: InboundCall): void {
    call.isOffered = true;
    const ticket = new Ticket(call);
    call.ticket = ticket;
    const verdict = this.queue.offer(ticket, call.requestBytes, call.deadlineMs, this.relay.nowMs);
    if (verdict === Admission.admitted) return this.start(call);
    if (verdict === Admission.waiting) return;
    const detail =
      verdict === Admission.tooLate
        ? 'the expected wait is longer than the time left'
        : verdict === Admission.tooMany
          ? `${this.queue.waiting} calls are waiting`
          : `${this.queue.waitingBytes} bytes are waiting`;
    const waitMs = Math.max(1, Math.ceil(this.queue.expectedWaitMs()));
    const pushback = makeField('grpc-retry-pushback-ms', String(Math.min(waitMs, 60_000)));
    call.answer(
      Reasons.overloaded,
      reasonMessage(Reasons.overloaded, { service: this.service, detail }),
      pushback,
    );
  }

  private start(call: InboundCall): void {
    if (call.ticket !== null) this.running.add(call.ticket);
    call.begin(new Attempt(call, this, this.relay.nowMs), NEVER);
    // There is one model: nothing is kept for another attempt.
    call.forgetReplay();
  }

  onAttemptEnd(call: InboundCall, attempt: Attempt): void {
    const now = this.relay.nowMs;
    if (attempt.ended === Ended.trailers && call.ticket !== null) {
      this.completedOne(now, now - attempt.startMs);
      if (attempt.status === Status.OK && isInference(factsOf(call.block).path)) this.succeeded++;
    }
    if (attempt.trailers !== null) call.finishWith(attempt);
    else if (isNeverProcessed(attempt.ended as Ended) && !call.isCommitted) {
      this.turnAway(call, attempt.reason === '' ? 'it refused the call' : attempt.reason);
    } else {
      const { reason, message } = failureAnswer(attempt, this.service, 0);
      call.answer(reason, message);
    }
  }

  // ---- in detail ----

  private isAllowed(caller: Caller | null): boolean {
    if (caller === null) return this.intentions.allows('', this.service);
    if (caller.decidedVersion !== this.intentions.version) this.judge(caller);
    return caller.isAllowed;
  }

  private judge(caller: Caller): void {
    const verdict = this.intentions.verdict(caller.service, this.service);
    caller.isAllowed = verdict === 'allow';
    caller.permissions = listIn(verdict);
    caller.decidedVersion = this.intentions.version;
  }

  /** Asked after `isAllowed` said no: whether this one call is let in all the same. */
  private permits(caller: Caller | null, block: HeaderBlock): boolean {
    const list = caller === null ? listIn(this.intentions.verdict('', this.service)) : caller.permissions;
    return list !== null && list.decide(callFacts(block)) === 'allow';
  }

  private refuse(call: InboundCall): void {
    if (!this.intentions.isLoaded && call.attempt === null) {
      const message = reasonMessage(Reasons.notLoaded, { service: this.service });
      return call.answer(Reasons.notLoaded, message);
    }
    const names = { source: call.caller?.service ?? 'a caller without identity', destination: this.service };
    call.answer(Reasons.notAllowed, reasonMessage(Reasons.notAllowed, names));
  }

  private turnAway(call: InboundCall, detail: string): void {
    call.answer(
      Reasons.modelUnavailable,
      reasonMessage(Reasons.modelUnavailable, { service: this.service, detail }),
    );
  }

  /** The model came, went, or is expected. */
  setModel(model: ModelState): void {
    this.relay.nowMs = this.relay.clock.now();
    this.model = model;
    const isReady = model.kind === 'ready';
    this.queue.configure({ ...this.config.queue, concurrency: isReady ? this.config.queue.concurrency : 0 });
    if (isReady) return this.pump();
    if (model.kind === 'starting') return;
    for (let ticket = this.queue.takeWaiting(); ticket !== null; ticket = this.queue.takeWaiting()) {
      this.turnAway(ticket.call, model.why);
    }
  }

  get modelState(): ModelState {
    return this.model;
  }

  evidence(): ModelEvidence {
    let oldest = 0;
    for (const ticket of this.running) {
      if (oldest === 0 || ticket.queueStartedMs < oldest) oldest = ticket.queueStartedMs;
    }
    return {
      inFlight: this.running.size,
      started: this.queue.admittedTotal,
      completed: this.completed,
      succeeded: this.succeeded,
      lastCompletionMs: this.lastCompletionMs,
      oldestStartMs: oldest,
      usualMs: this.usualMs,
    };
  }

  /** A slow average that jumps up at once: near the slowest of the recent runs. */
  private completedOne(nowMs: number, ranMs: number): void {
    this.completed++;
    this.lastCompletionMs = nowMs;
    this.usualMs =
      ranMs > this.usualMs
        ? this.usualMs + (ranMs - this.usualMs) * 0.3
        : this.usualMs * 0.995 + ranMs * 0.005;
  }

  /** Lets the next ones in line through. */
  private pump(): void {
    const now = this.relay.nowMs;
    for (let ticket = this.queue.next(now); ticket !== null; ticket = this.queue.next(now)) {
      const { call } = ticket;
      if (ticket.queueState === QueueState.expired) this.expire(call);
      else this.start(call);
    }
  }

  private expire(call: InboundCall): void {
    call.answer(Reasons.queueExpired, reasonMessage(Reasons.queueExpired, { service: this.service }));
  }

  requestHeaders(call: Call): StableList {
    if (hasPseudoExtras(call.block)) return forwardOddRequest(call.block, this.profile);
    return forwardRequest(call.block, this.profile);
  }

  requestExtras(call: InboundCall): readonly Field[] {
    const left = call.deadlineMs - this.relay.nowMs;
    const extras = forwardExtras(
      call.block,
      left === NEVER ? null : timeoutField(left),
      call.caller?.field ?? null,
      0,
    );
    return hasPseudoExtras(call.block) ? extrasWithoutPseudo(extras) : extras;
  }

  onResume(): void {}

  onAttemptTimeout(): void {}

  onDeadline(call: InboundCall): void {
    if (call.ticket?.queueState === QueueState.waiting) return this.expire(call);
    const limitMs = Math.round(call.deadlineMs - call.startMs);
    call.answer(
      Reasons.deadlineExceeded,
      reasonMessage(Reasons.deadlineExceeded, { limitMs: Number.isFinite(limitMs) ? limitMs : 0 }),
    );
  }

  onIdle(call: InboundCall): void {
    call.answer(
      Reasons.idleTimeout,
      reasonMessage(Reasons.idleTimeout, { limitMs: call.plan.idleTimeoutMs }),
    );
  }

  onCancelled(): void {}

  /** However the call ended, its place is free. */
  onFinish(call: InboundCall, status: number): void {
    const now = this.relay.nowMs;
    call.tally?.finished(status, now - call.startMs);
    const { ticket } = call;
    if (ticket === null) return;
    if (this.running.delete(ticket)) {
      if (call.attempt?.ended === Ended.trailers) this.queue.release(ticket, now);
      else this.queue.forfeit(ticket, now);
      this.pump();
    } else {
      this.queue.remove(ticket);
    }
  }

  private makeRoutes(config: InboundConfig, before?: Routes): Routes {
    return new Routes(
      config.routes,
      { direction: 'inbound', service: this.service, replayBytes: this.replayBytes, stripsResponse: true },
      this.relay.tally,
      before,
    );
  }
}

function listIn(verdict: Verdict): PermissionList | null {
  return typeof verdict === 'string' ? null : verdict;
}
