import { readsReports } from '../../cluster/balancer-for.js';
import type { Cluster } from '../../cluster/cluster.js';
import type { Endpoint } from '../../cluster/endpoint.js';
import { takeReport } from '../../cluster/load-reports.js';
import { framed, PREFIX_BYTES } from '../../codec/grpc-message.js';
import {
  loadStreamRequest,
  MAX_REPORT_BYTES,
  readLoadReport,
  STREAM_CORE_METRICS,
  WATCHES_LOAD,
} from '../../codec/orca.js';
import type { UpstreamConfig } from '../../config/model.js';
import { askAgainMs, spread } from '../../core/health/ask-again.js';
import { Status } from '../../core/outcome/status.js';
import { ErrorCode } from '../../http2/constants.js';
import { headerViewOf } from '../../http2/header-view.js';
import type { HeaderBlock, StableList } from '../../http2/hpack/header-list.js';
import { Ending, NO_FIELDS, type Stream, type StreamOwner } from '../../http2/stream.js';
import { WheelEntry } from '../../runtime/time/timing-wheel.js';
import { ChunkList } from '../../transport/chunk-list.js';
import type { DataPlaneContext } from '../../transport/context.js';
import type { Session } from '../../transport/session.js';
import { EndpointWatches } from './endpoint-watches.js';
import { questionHeaders } from './question-headers.js';

/** A stream without a report for so many of its intervals is begun anew. */
const SILENT_INTERVALS = 5;
/** While no call has gone to the cluster for so many intervals there is nothing to choose, and nothing is asked. */
const IDLE_INTERVALS = 5;

/**
 * Asks the endpoints of clusters that choose by it for their load, out of band (gRFC A51): one stream to each endpoint, on a connection
 * that calls use. An endpoint that does not answer costs nothing but a question a minute.
 */
export class LoadWatches extends EndpointWatches<LoadWatch> {
  constructor(
    private readonly context: DataPlaneContext,
    /** Something asks for the work of every upstream: each endpoint is asked, with and without calls. */
    private readonly isAlwaysAsked: boolean,
  ) {
    super();
  }

  /** To be called after a change of the cluster's endpoints or connections. */
  update(cluster: Cluster, config: UpstreamConfig): void {
    const isWanted = config.loadReports.intervalMs > 0 && (this.isAlwaysAsked || readsReports(config));
    const isAsked = isWanted && !cluster.isRetired;
    this.leaveWhere((endpoint, of) => of === cluster && (!isAsked || endpoint.isGone));
    if (!isAsked || (cluster.endpoints.length < 2 && !this.isAlwaysAsked)) return;
    for (const endpoint of cluster.endpoints) {
      if (endpoint.isForeign || config.tls !== 'mesh') continue;
      let watch = this.watches.get(endpoint);
      if (watch !== undefined && watch.intervalMs !== config.loadReports.intervalMs) {
        this.leave(endpoint);
        watch = undefined;
      }
      if (watch === undefined) {
        const { intervalMs } = config.loadReports;
        watch = new LoadWatch(cluster, endpoint, intervalMs, this.context, this.isAlwaysAsked);
        this.watches.set(endpoint, watch);
      }
      watch.look();
    }
  }
}

/** The stream of reports of one endpoint. */
class LoadWatch extends WheelEntry implements StreamOwner {
  private session: Session | null = null;
  private stream: Stream | null = null;
  /** The connection that the stream was last begun on: another one has not been asked. */
  private askedOn: Session | null = null;
  /** A report has come on the present stream. */
  private isHeard = false;
  /** Bytes that are no whole message yet. */
  private received = new ChunkList();
  /** Bytes of that which are needed to read on: a prefix, or a whole message with it. */
  private neededBytes = PREFIX_BYTES;
  /** When the stream was begun, or the last report came. */
  private heardMs = 0;
  /** Failures in a row. */
  private failures = 0;
  /** Not before this time is it asked again, monotonic ms. */
  private notBeforeMs = 0;
  /** Attempts at the cluster so far, and when that number last changed. */
  private attempts = 0;
  private busyMs: number;
  private readonly headers: StableList;
  private readonly body: Buffer;

  constructor(
    readonly cluster: Cluster,
    private readonly endpoint: Endpoint,
    readonly intervalMs: number,
    private readonly context: DataPlaneContext,
    private readonly isAlwaysAsked: boolean,
  ) {
    super();
    this.busyMs = context.clock.now();
    const metadata = { [WATCHES_LOAD]: '1' };
    this.headers = questionHeaders({ path: STREAM_CORE_METRICS, authority: cluster.name, metadata });
    this.body = framed(loadStreamRequest(intervalMs));
  }

  /** Connections have changed. Until an endpoint is asked, calls that others refuse cannot know that it has room. */
  look(): void {
    // A connection on its way out would wait for the stream.
    if (!this.isScheduled || this.session?.isRetiring === true || this.isUnasked) this.fire();
  }

  /** There is a connection, and it is another one than was asked last. */
  private get isUnasked(): boolean {
    const { pool } = this.endpoint;
    if (this.stream !== null || !pool.isConnected) return false;
    const { askedOn } = this;
    return askedOn === null || askedOn.isRetiring || !pool.sessions.includes(askedOn);
  }

  /** Looks whether the stream is there and says something. */
  fire(): void {
    const now = this.context.clock.now();
    this.context.nowMs = now;
    if (this.session?.isRetiring === true) this.drop();
    if (!this.isAlwaysAsked && this.isIdle(now)) {
      this.drop();
      return this.plan(this.intervalMs);
    }
    if (this.stream !== null && now - this.heardMs >= this.intervalMs * SILENT_INTERVALS) {
      this.drop();
      return this.onStatus(-1);
    }
    if (this.stream === null && now >= this.notBeforeMs) this.begin(now);
    this.plan(Math.max(this.intervalMs, this.notBeforeMs - now));
  }

  stop(): void {
    this.context.wheel.cancel(this);
    this.drop();
  }

  private isIdle(nowMs: number): boolean {
    let attempts = 0;
    for (const endpoint of this.cluster.endpoints) attempts += endpoint.attempts;
    if (attempts !== this.attempts || this.cluster.inFlight > 0) this.busyMs = nowMs;
    this.attempts = attempts;
    return nowMs - this.busyMs >= this.intervalMs * IDLE_INTERVALS;
  }

  private plan(waitMs: number): void {
    this.context.wheel.add(this, this.context.clock.now() + spread(waitMs, this.context.random));
  }

  /** Opens the stream, if a connection takes it. */
  private begin(nowMs: number): void {
    const { pool } = this.endpoint;
    const session = pool.isConnected ? pool.acquire() : null;
    if (session === null) return;
    const { connection } = session;
    const stream = connection.openStream(this);
    this.session = session;
    this.stream = stream;
    this.askedOn = session;
    this.isHeard = false;
    this.heardMs = nowMs;
    this.received = new ChunkList();
    this.neededBytes = PREFIX_BYTES;
    connection.sendHeaders(stream, this.headers, NO_FIELDS, false);
    connection.sendData(stream, this.body, 0, this.body.length, true);
  }

  /** An exception in its handling ends the stream; it is begun again later. */
  giveUp(): void {
    this.drop();
    this.onStatus(-1);
  }

  /** Gives the stream up, if there is one. */
  private drop(): void {
    const { session, stream } = this;
    this.session = null;
    this.stream = null;
    if (session !== null && stream !== null) session.connection.reset(stream, ErrorCode.cancel);
  }

  // ---- StreamOwner ----

  onHeaders(stream: Stream, block: HeaderBlock, ended: boolean): void {
    if (stream !== this.stream) return;
    const { grpcStatus, status, isGrpc } = headerViewOf(block);
    if (ended) this.onStatus(grpcStatus);
    else if (status !== 200 || !isGrpc) this.onBroken();
  }

  onData(stream: Stream, buffer: Buffer, start: number, end: number, ended: boolean): void {
    if (stream !== this.stream) return;
    this.session!.connection.credit(stream, end - start, 0);
    this.received.add(buffer, start, end);
    if (!this.readMessages()) return this.onBroken();
    if (ended) this.onStatus(-1);
  }

  onTrailers(stream: Stream, block: HeaderBlock): void {
    if (stream === this.stream) this.onStatus(headerViewOf(block).grpcStatus);
  }

  onEnding(stream: Stream, ending: number): void {
    if (stream !== this.stream) return;
    if (ending === Ending.lost && this.isHeard) return this.onLost();
    this.onStatus(-1);
  }

  /** Its connection has gone, after reports: the question was not why, and the next connection is asked at once. */
  private onLost(): void {
    this.stream = null;
    this.session = null;
    this.plan(this.intervalMs);
  }

  onSent(): void {}

  /** Takes what is complete of the messages. False: they are none, or too long. */
  private readMessages(): boolean {
    // Put together only where there is more to read than before, however small the pieces are.
    if (this.received.bytes < this.neededBytes) return true;
    const bytes = this.received.whole();
    let at = 0;
    this.neededBytes = PREFIX_BYTES;
    while (bytes.length - at >= PREFIX_BYTES) {
      const length = bytes.readUInt32BE(at + 1);
      if (bytes[at] !== 0 || length > MAX_REPORT_BYTES) return false;
      const end = at + PREFIX_BYTES + length;
      if (bytes.length < end) {
        this.neededBytes = end - at;
        break;
      }
      this.take(bytes.subarray(at + PREFIX_BYTES, end));
      at = end;
    }
    if (at === 0) return true;
    this.received = new ChunkList();
    if (at < bytes.length) this.received.add(bytes, at, bytes.length);
    return true;
  }

  /** One message. */
  private take(bytes: Buffer): void {
    const now = this.context.clock.now();
    this.heardMs = now;
    this.isHeard = true;
    this.failures = 0;
    const report = readLoadReport(bytes, this.cluster.reports.onFault);
    if (report !== undefined) takeReport(this.cluster, this.endpoint, report, 'stream', now);
  }

  /** What it sends is no stream of reports. */
  private onBroken(): void {
    this.cluster.reports.onFault('unreadable');
    this.drop();
    this.onStatus(Status.UNIMPLEMENTED);
  }

  /** The stream is over. @param status of gRPC; −1: none came. */
  private onStatus(status: number): void {
    this.stream = null;
    this.session = null;
    const waitMs = askAgainMs(this.failures, status);
    this.failures++;
    this.notBeforeMs = this.context.clock.now() + waitMs;
    this.plan(waitMs);
  }
}
