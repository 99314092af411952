import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import { PREFIX_BYTES } from '../../codec/grpc-message.js';
import { FETCH_X509_SVID, SECURITY_HEADER } from '../../codec/workload-api.js';
import { attempt } from '../../runtime/attempt.js';
import { messageOf } from '../../runtime/log/message-of.js';
import { socketProblem } from '../../runtime/process/socket-trust.js';
import type { Timer, Timers } from '../../runtime/time/timers.js';

/** The default limit of gRPC clients for one message. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
/** Longest time from the first byte of a message to its last, ms. The agent is on this machine. */
const MESSAGE_LIMIT_MS = 10_000;
/** What is kept of the agent's own words. */
const MAX_DETAILS = 200;
const HTTP_OK = 200;

/** Why a call for SVIDs has ended. */
export interface WorkloadEnd {
  /** The gRPC status of the agent; undefined: it has sent none. */
  readonly status: number | undefined;
  /** What the agent says, or what went wrong. */
  readonly message: string;
}

/** What comes of a call for SVIDs; nothing within the call that starts it, nothing after it was cancelled. */
export interface WorkloadEvents {
  /** An X509SVIDResponse. */
  message(bytes: Buffer): void;
  /** Once, last. */
  end(end: WorkloadEnd): void;
}

/** The SVIDs of this process, as a SPIRE agent tells them. */
export interface WorkloadApi {
  /**
   * Asks for the SVIDs of now, and for those after each change. Returns the function that ends the call.
   *
   * @throws Error where the socket may not be used.
   */
  fetch(events: WorkloadEvents): () => void;
}

/**
 * The SPIFFE Workload API at a Unix socket, over Node's HTTP/2 client: one connection for each call, and one call at a time. A gRPC
 * library would cost each sidecar 20 MB of memory for it.
 */
export class WorkloadSocket implements WorkloadApi {
  /** @param owner another user who may own the socket, beside this one and root. */
  constructor(
    private readonly path: string,
    private readonly owner: number | undefined,
    private readonly timers: Timers,
  ) {}

  fetch(events: WorkloadEvents): () => void {
    const problem = socketProblem(this.path, this.owner, 'identity.spire_owner');
    if (problem !== undefined) throw new Error(problem);
    const session = connect('http://localhost', { createConnection: () => connectSocket(this.path) });
    session.unref();
    const call = new SvidCall(session, events, this.timers);
    return () => call.cancel();
  }
}

/** One call of FetchX509SVID: frames of HTTP/2 in, messages out. */
class SvidCall {
  /** What has come of the messages that are not complete. */
  private chunks: Buffer[] = [];
  private bufferedBytes = 0;
  /** Buffered bytes at which there is something to read: a prefix, then the message behind it. */
  private neededBytes = PREFIX_BYTES;
  private messageLimit: Timer | undefined;
  private status: number | undefined;
  private details = '';
  private isOver = false;

  constructor(
    private readonly session: ClientHttp2Session,
    private readonly events: WorkloadEvents,
    private readonly timers: Timers,
  ) {
    session.on('error', (error) => this.end(error.message));
    session.on('close', () => this.end('the connection ended'));
    const stream = session.request({
      ':method': 'POST',
      ':path': FETCH_X509_SVID,
      'content-type': 'application/grpc',
      te: 'trailers',
      [SECURITY_HEADER]: 'true',
    });
    stream.on('response', (headers) => this.onHeaders(headers));
    stream.on('trailers', (headers) => this.onHeaders(headers));
    stream.on('data', (chunk: Buffer) => this.onData(chunk));
    // What broke the connection is the cause of what the stream says.
    stream.on('error', ({ cause, message }) => this.end(cause instanceof Error ? cause.message : message));
    stream.on('close', () => this.end('the call ended without a status'));
    // An X509SVIDRequest has no field.
    stream.end(Buffer.alloc(PREFIX_BYTES));
  }

  cancel(): void {
    this.isOver = true;
    this.messageLimit?.cancel();
    this.session.destroy();
  }

  private onHeaders(headers: IncomingHttpHeaders): void {
    const http = headers[':status'];
    const status = headers['grpc-status'];
    if (status !== undefined) {
      this.status = Number(status);
      const text = String(headers['grpc-message'] ?? '');
      this.details = attempt(() => decodeURIComponent(text), text).slice(0, MAX_DETAILS);
    } else if (http !== undefined && Number(http) !== HTTP_OK) this.end(`HTTP status ${String(http)}`);
  }

  private onData(chunk: Buffer): void {
    if (this.isOver) return;
    this.chunks.push(chunk);
    this.bufferedBytes += chunk.length;
    let hasEnded = false;
    while (this.bufferedBytes >= this.neededBytes) {
      const bytes = this.chunks.length === 1 ? this.chunks[0]! : Buffer.concat(this.chunks);
      if (bytes[0] !== 0) return this.end('a message is compressed, which was not asked for');
      const length = bytes.readUInt32BE(1);
      if (length > MAX_MESSAGE_BYTES)
        return this.end(`a message has ${length} bytes; expected at most ${MAX_MESSAGE_BYTES}`);
      const endsAt = PREFIX_BYTES + length;
      const isWhole = bytes.length >= endsAt;
      const rest = isWhole ? bytes.subarray(endsAt) : bytes;
      this.chunks = rest.length === 0 ? [] : [rest];
      this.bufferedBytes = rest.length;
      this.neededBytes = isWhole ? PREFIX_BYTES : endsAt;
      if (!isWhole) continue;
      hasEnded = true;
      this.tell(bytes.subarray(PREFIX_BYTES, endsAt));
      if (this.isOver) return;
    }
    this.limitMessage(hasEnded);
  }

  /** What a listener throws must not end the process: the bytes are the agent's. */
  private tell(message: Buffer): void {
    try {
      this.events.message(message);
    } catch (error) {
      this.end(`its response cannot be used: ${messageOf(error)}`);
    }
  }

  /** The time of a message counts from its first byte. @param hasEnded the message before it has ended with this chunk. */
  private limitMessage(hasEnded: boolean): void {
    if (hasEnded || this.bufferedBytes === 0) {
      this.messageLimit?.cancel();
      this.messageLimit = undefined;
    }
    if (this.bufferedBytes === 0) return;
    const stalled = `a message has not ended within ${MESSAGE_LIMIT_MS / 1_000} s`;
    this.messageLimit ??= this.timers.after(MESSAGE_LIMIT_MS, () => this.end(stalled), { unref: true });
  }

  /** @param why counts where the agent has sent no status. */
  private end(why: string): void {
    if (this.isOver) return;
    this.cancel();
    const { status } = this;
    this.events.end({ status, message: status === undefined ? why : this.details });
  }
}
