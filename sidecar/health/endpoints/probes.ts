import type { Socket } from 'node:net';
import { HEALTH_CHECK, healthQuestion, readHealthAnswer, Serving, servingName } from '../../codec/health.js';
import type { CheckResult } from '../../core/health/health-check.js';
import { AttemptEnd } from '../../core/outcome/outcome.js';
import { Status, statusName } from '../../core/outcome/status.js';
import { extraValue } from '../../http2/header-view.js';
import type { StableList } from '../../http2/hpack/header-list.js';
import { Token } from '../../http2/hpack/tokens.js';
import type { Stream } from '../../http2/stream.js';
import { Attempt, type AttemptOwner } from '../../relay/attempt.js';
import { timeoutField } from '../../relay/header-rewrite.js';
import type { Pool } from '../../transport/pool.js';
import type { Session } from '../../transport/session.js';
import { describeSocketError } from '../../transport/socket-error.js';
import { decoded } from '../model/grpc-client.js';
import { questionHeaders } from './question-headers.js';

const MAX_DETAILS = 200;
const NOTHING = Buffer.alloc(0);

/** The reason of an endpoint that answers NOT_SERVING, as one whose model still starts does. */
export const SAYS_NOT_SERVING = `the health check says ${servingName(Serving.NOT_SERVING)}`;

/** Called with the result of a probe, at most once. `why`: one sentence unless it passed. */
export type ProbeCallback = (result: CheckResult, why: string) => void;

/** A probe under way. It calls back with an answer; a timeout is for its owner to notice. */
export interface Probe {
  /**
   * Whether its answer may still come and would prove as much as that of a new probe: the
   * connection is usable, and nothing has arrived over it since. A frozen peer thus does not
   * collect probes.
   */
  readonly isPending: boolean;
  /** Its answer is ignored from now on. */
  cancel(): void;
}

export interface HealthCallOptions {
  readonly scheme: 'http' | 'https';
  readonly authority: string;
  /** Name of a model; empty: the server as a whole. */
  readonly service: string;
}

/**
 * Health checks by `grpc.health.v1.Health/Check` to one endpoint, over the connections that calls
 * use: whether those work is what matters. Headers and body are encoded once.
 */
export class HealthCalls {
  private readonly headers: StableList;
  private readonly body: Buffer;

  constructor(private readonly options: HealthCallOptions) {
    const { scheme, authority } = options;
    this.headers = questionHeaders({ scheme, path: HEALTH_CHECK, authority });
    this.body = healthQuestion(options.service);
  }

  /** Starts one check; undefined when no connection takes a call now. */
  ask(pool: Pool, { nowMs, timeoutMs, onResult }: HealthCallInput): Probe | undefined {
    const session = pool.acquire();
    if (session === null) return undefined;
    const write = (to: Stream): void => {
      session.connection.sendHeaders(to, this.headers, [timeoutField(timeoutMs)], false);
      session.connection.sendData(to, this.body, 0, this.body.length, true);
    };
    const { service } = this.options;
    return new HealthCall({ pool, session, nowMs, onResult, service, write });
  }
}

export interface HealthCallInput {
  /** When the check is sent, monotonic ms. */
  readonly nowMs: number;
  /** The `grpc-timeout` that is sent. */
  readonly timeoutMs: number;
  readonly onResult: ProbeCallback;
}

interface HealthCallFields extends Omit<HealthCallInput, 'timeoutMs'> {
  readonly pool: Pool;
  readonly session: Session;
  readonly service: string;
  write(to: Stream): void;
}

/** An answer longer than this is none to a health check. */
const MAX_ANSWER_BYTES = 16 * 1024;

/** One health check as an attempt of its own: never retried, and without a caller. */
class HealthCall implements AttemptOwner, Probe {
  readonly holder = this;
  readonly holdsResponse = true;
  readonly checksMessages = false;
  readonly holdBytes = MAX_ANSWER_BYTES;
  readonly isCommitted = false;
  /** The check is about this connection. */
  readonly isReplayable = false;
  private readonly attempt: Attempt;

  constructor(private readonly fields: HealthCallFields) {
    this.attempt = new Attempt(this, { pool: fields.pool }, fields.nowMs);
    this.attempt.onSession(fields.session);
  }

  get isPending(): boolean {
    const { session, nowMs } = this.fields;
    return !this.attempt.isOver && session.isUsable && session.lastReadMs <= nowMs;
  }

  cancel(): void {
    this.attempt.abort(AttemptEnd.cancelled);
  }

  // ---- AttemptOwner ----

  writeRequest(_attempt: Attempt, _session: Session, stream: Stream): void {
    this.fields.write(stream);
  }

  onRequestSent(): void {}

  forwardResponse(): void {}

  beginStream(): void {}

  onMessages(): void {}

  /** Few checks run at a time, so that no budget is needed. */
  reserveWideWindow(): boolean {
    return true;
  }

  widenResponse(): boolean {
    return this.reserveWideWindow();
  }

  /** Called for an answer beyond the buffer: too long for a health response. */
  commitResponse(): void {
    this.attempt.abort(AttemptEnd.protocolError);
    this.fields.onResult('failed', 'the health check got an answer that is far too long');
  }

  onAttemptEnd(attempt: Attempt): void {
    switch (attempt.ended) {
      case AttemptEnd.trailers:
        return this.readStatus(attempt);
      case AttemptEnd.refusedStream:
      case AttemptEnd.goawayUnprocessed:
      case AttemptEnd.connectionLost:
        // The connection ended; the pool connects again.
        return this.fields.onResult('void', '');
      case AttemptEnd.reset:
        return this.fields.onResult('failed', `the health check was ${attempt.reason}`);
      case AttemptEnd.missingTrailers:
        return this.fields.onResult('failed', 'the health check ended without a status');
      default:
        return this.fields.onResult('failed', 'the answer to the health check broke the protocol');
    }
  }

  private readStatus(attempt: Attempt): void {
    const { service, onResult } = this.fields;
    switch (attempt.status) {
      case Status.OK:
        return this.readAnswer(readHealthAnswer(attempt.heldResponse?.whole() ?? NOTHING));
      // gRFC A17: a server without a health service is healthy while it answers. So is one that denies us the check, or is
      // too busy for it: calls find out the rest.
      case Status.UNIMPLEMENTED:
      case Status.PERMISSION_DENIED:
      case Status.RESOURCE_EXHAUSTED:
        return onResult('passed', '');
      case Status.DEADLINE_EXCEEDED:
        return onResult('silent', 'the health check got DEADLINE_EXCEEDED');
      case Status.NOT_FOUND:
        if (service !== '')
          return onResult('failed', `the health check says that there is no model ${service}`);
    }
    const details = detailsOf(attempt);
    const status = statusName(attempt.status);
    onResult('failed', `the health check got ${status}${details === '' ? '' : `: ${details}`}`);
  }

  private readAnswer(status: number | undefined): void {
    if (status === Serving.SERVING) this.fields.onResult('passed', '');
    else if (status === undefined)
      this.fields.onResult('failed', 'the answer to the health check cannot be read');
    else this.fields.onResult('failed', `the health check says ${servingName(status)}`);
  }
}

/** `grpc-message`, percent-encoded UTF-8, on one line. */
function detailsOf({ trailers }: Attempt): string {
  const said = trailers === null ? '' : (extraValue(trailers, Token.grpcMessage) ?? '');
  return decoded(said).replace(/\s+/g, ' ').trim().slice(0, MAX_DETAILS);
}

/** A PING on a connection (RFC 9113 section 6.7); undefined when there is none. */
export function askByPing(pool: Pool, nowMs: number, onResult: ProbeCallback): Probe | undefined {
  const session = pool.sessions.find(({ isUsable }) => isUsable);
  if (session === undefined) return undefined;
  let isCancelled = false;
  session.ping(() => {
    if (!isCancelled) onResult('passed', '');
  });
  return {
    get isPending() {
      return session.isUsable && session.lastReadMs <= nowMs;
    },
    cancel() {
      isCancelled = true;
    },
  };
}

/** A new connection, closed as soon as it is established. */
export function askByConnecting(socket: Socket, onResult: ProbeCallback): Probe {
  let isOver = false;
  const end = (): boolean => {
    const isFirst = !isOver;
    isOver = true;
    socket.destroy();
    return isFirst;
  };
  socket.on('connect', () => {
    if (end()) onResult('passed', '');
  });
  socket.on('error', (error) => {
    if (end()) onResult('failed', `a connection was not made: ${describeSocketError(error)}`);
  });
  return { isPending: false, cancel: () => void end() };
}
