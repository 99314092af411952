import type { Cluster } from '../../cluster/cluster.js';
import type { Endpoint } from '../../cluster/endpoint.js';
import { PREFIX_BYTES, unframed } from '../../codec/grpc-message.js';
import { LIST_METHODS, MAX_LIST_BYTES, readMethodList } from '../../codec/method-list.js';
import type { UpstreamConfig } from '../../config/model.js';
import { askAgainMs, spread } from '../../core/health/ask-again.js';
import { AttemptEnd } from '../../core/outcome/outcome.js';
import { Status } from '../../core/outcome/status.js';
import type { MethodList } from '../../core/routing/method-kinds.js';
import type { StableList } from '../../http2/hpack/header-list.js';
import type { Stream } from '../../http2/stream.js';
import { Attempt, type AttemptOwner } from '../../relay/attempt.js';
import { timeoutField } from '../../relay/header-rewrite.js';
import { WheelEntry } from '../../runtime/time/timing-wheel.js';
import type { DataPlaneContext } from '../../transport/context.js';
import type { Session } from '../../transport/session.js';
import { EndpointWatches } from './endpoint-watches.js';
import { questionHeaders } from './question-headers.js';

/** The list is asked for again after this time, ms, where there are calls: the service may have started anew. */
const AGAIN_MS = 30_000;
/** Wait for a connection, ms. */
const CONNECT_MS = 1_000;
/** An answer that has not come by then is given up, ms. */
const TIMEOUT_MS = 5_000;
/** Different lists that are told apart; replicas of one service say the same, and share what is kept of it. */
const MAX_LISTS = 16;

/**
 * Asks the endpoints of upstreams which methods their service has and which of them are streams: once there is a connection, and again
 * every half minute while there are calls. Only of Outriders, and only where a route leaves the kind of its methods open.
 */
export class MethodWatches extends EndpointWatches<MethodWatch> {
  private readonly lists = new Map<string, MethodList>();

  constructor(private readonly context: DataPlaneContext) {
    super();
  }

  /** To be called after a change of the cluster's endpoints or connections. */
  update(cluster: Cluster, config: UpstreamConfig): void {
    const isWanted = config.tls === 'mesh' && config.routes.some(({ kind }) => kind === 'auto');
    const isAsked = isWanted && !cluster.isRetired;
    this.leaveWhere((endpoint, of) => of === cluster && (!isAsked || endpoint.isGone));
    if (!isAsked) return;
    for (const endpoint of cluster.endpoints) {
      if (endpoint.isForeign) continue;
      let watch = this.watches.get(endpoint);
      if (watch === undefined) {
        watch = new MethodWatch(cluster, endpoint, this.context, (bytes) => this.read(bytes));
        this.watches.set(endpoint, watch);
      }
      watch.look();
    }
  }

  /** Equal lists are one object. */
  private read(bytes: Buffer): MethodList | undefined {
    const key = bytes.toString('latin1');
    const known = this.lists.get(key);
    if (known !== undefined) return known;
    const list = readMethodList(bytes);
    if (list === undefined) return undefined;
    if (this.lists.size >= MAX_LISTS) this.lists.clear();
    this.lists.set(key, list);
    return list;
  }
}

/** The questions to one endpoint, one at a time, each an attempt without a call. */
class MethodWatch extends WheelEntry implements AttemptOwner {
  readonly holder = this;
  readonly holdsResponse = true;
  readonly checksMessages = false;
  readonly holdBytes = MAX_LIST_BYTES + PREFIX_BYTES;
  readonly isCommitted = false;
  readonly isReplayable = false;
  private attempt: Attempt | null = null;
  /** The connection on which the list was last asked for: another one may reach a service that has changed. */
  private askedOn: Session | null = null;
  /** Not before this time is it asked again, monotonic ms. */
  private notBeforeMs = 0;
  /** Attempts at the endpoint when it was last asked. */
  private attempts = -1;
  /** Failures in a row. */
  private failures = 0;
  private readonly headers: StableList;

  constructor(
    readonly cluster: Cluster,
    private readonly endpoint: Endpoint,
    private readonly context: DataPlaneContext,
    private readonly read: (bytes: Buffer) => MethodList | undefined,
  ) {
    super();
    this.headers = questionHeaders({ path: LIST_METHODS, authority: cluster.name });
  }

  /** Connections have changed. */
  look(): void {
    const { pool } = this.endpoint;
    if (this.attempt !== null || !pool.isConnected) return;
    const isNew = this.askedOn === null || !pool.sessions.includes(this.askedOn);
    if (isNew && (!this.isScheduled || this.failures === 0)) this.fire();
  }

  /** It is time to ask, or an answer is overdue. */
  fire(): void {
    const now = this.context.clock.now();
    this.context.nowMs = now;
    if (this.attempt !== null) {
      this.attempt.abort(AttemptEnd.deadline);
      return this.onFailure(Status.DEADLINE_EXCEEDED);
    }
    const isIdle = this.failures === 0 && this.endpoint.attempts === this.attempts;
    if (now < this.notBeforeMs || isIdle) return this.plan(Math.max(this.notBeforeMs - now, AGAIN_MS));
    this.ask(now);
  }

  stop(): void {
    this.context.wheel.cancel(this);
    this.attempt?.abort(AttemptEnd.cancelled);
    this.attempt = null;
  }

  /** An exception in its handling ends the question; it is asked again later. */
  giveUp(): void {
    this.attempt?.abort(AttemptEnd.cancelled);
    this.onFailure(Status.INTERNAL);
  }

  private ask(nowMs: number): void {
    const { pool } = this.endpoint;
    const session = pool.isConnected ? pool.acquire() : null;
    if (session === null) return this.plan(CONNECT_MS);
    this.askedOn = session;
    this.attempts = this.endpoint.attempts;
    this.attempt = new Attempt(this, { pool }, nowMs);
    this.attempt.onSession(session);
    this.plan(TIMEOUT_MS);
  }

  private plan(waitMs: number): void {
    this.context.wheel.add(this, this.context.clock.now() + spread(waitMs, this.context.random));
  }

  /** The question had no answer. @param status of gRPC. */
  private onFailure(status: number): void {
    this.attempt = null;
    const waitMs = askAgainMs(this.failures, status);
    this.failures++;
    this.notBeforeMs = this.context.clock.now() + waitMs;
    this.plan(waitMs);
  }

  private take(list: MethodList): void {
    this.attempt = null;
    this.failures = 0;
    this.notBeforeMs = this.context.clock.now() + AGAIN_MS;
    this.plan(AGAIN_MS);
    if (this.endpoint.described === list) return;
    this.endpoint.described = list;
    this.cluster.onDescribed?.();
  }

  // ---- AttemptOwner ----

  writeRequest(_attempt: Attempt, { connection }: Session, stream: Stream): void {
    const body = Buffer.alloc(PREFIX_BYTES);
    connection.sendHeaders(stream, this.headers, [timeoutField(TIMEOUT_MS)], false);
    connection.sendData(stream, body, 0, body.length, true);
  }

  onAttemptEnd({ ended, status, heldResponse }: Attempt): void {
    if (ended !== AttemptEnd.trailers || status !== Status.OK) return this.onFailure(status);
    const body = heldResponse?.whole();
    const message = body && unframed(body);
    const list = message && this.read(message);
    // A peer that answers so does not know the question.
    if (list === undefined) this.onFailure(Status.UNIMPLEMENTED);
    else this.take(list);
  }

  /** Called for an answer that is far too long. */
  commitResponse(attempt: Attempt): void {
    attempt.abort(AttemptEnd.protocolError);
    this.onFailure(Status.UNIMPLEMENTED);
  }

  /** One question at a time, and its answer is short. */
  reserveWideWindow(): boolean {
    return true;
  }

  widenResponse(): boolean {
    return this.reserveWideWindow();
  }

  onRequestSent(): void {}
  forwardResponse(): void {}
  beginStream(): void {}
  onMessages(): void {}
}
