/**
 * The three ways to ask an endpoint how it is. Each asks once and says what was heard; that nothing is heard is for
 * whoever asked to find out. Calls and PINGs go over connections that calls use, because what matters is whether those
 * lead anywhere.
 */

import type { Socket } from 'node:net';
import { HEALTH_CHECK, healthQuestion, readHealthAnswer, Serving, servingName } from '../../codec/health.js';
import type { CheckResult } from '../../core/health/health-check.js';
import { AttemptEnd } from '../../core/outcome/outcome.js';
import { Status, statusName } from '../../core/outcome/status.js';
import { extraValue } from '../../http2/header-view.js';
import { makeField } from '../../http2/hpack/field.js';
import { StableList } from '../../http2/hpack/header-list.js';
import { Token } from '../../http2/hpack/tokens.js';
import type { Stream } from '../../http2/stream.js';
import { Attempt, type AttemptOwner } from '../../relay/attempt.js';
import { timeoutField } from '../../relay/header-rewrite.js';
import type { Pool } from '../../transport/pool.js';
import type { Session } from '../../transport/session.js';
import { describeSocketError } from '../../transport/socket-error.js';

const MAX_DETAILS = 200;
const NOTHING = Buffer.alloc(0);

/** What is heard of one that answers and does not serve: also of one whose model is still starting. */
export const SAYS_NOT_SERVING = `the health check says ${servingName(Serving.NOT_SERVING)}`;

/** `why`: one sentence when it did not pass. */
export type ProbeCallback = (result: CheckResult, why: string) => void;

export interface Probe {
  /**
   * Whether an answer may still come and would be as good as one to a new question: its connection stands, and nothing
   * has come over it since. A frozen peer is not asked again and again.
   */
  readonly isPending: boolean;
  /** Its answer is not waited for any longer, and not told. */
  cancel(): void;
}

export interface HealthCallOptions {
  readonly scheme: 'http' | 'https';
  readonly authority: string;
  /** A model's name; empty: the server as a whole. */
  readonly service: string;
}

/** What every health call to one endpoint sends. */
export class HealthCalls {
  private readonly headers: StableList;
  private readonly body: Buffer;

  constructor(private readonly options: HealthCallOptions) {
    const fields: readonly (readonly [string, string])[] = [
      [':method', 'POST'],
      [':scheme', options.scheme],
      [':path', HEALTH_CHECK],
      [':authority', options.authority],
      ['te', 'trailers'],
      ['content-type', 'application/grpc'],
    ];
    let list = StableList.root();
    for (const [name, value] of fields) list = list.with(makeField(name, value));
    this.headers = list;
    this.body = healthQuestion(options.service);
  }

  /** Undefined: no connection takes a call now. */
  ask(pool: Pool, nowMs: number, timeoutMs: number, hear: ProbeCallback): Probe | undefined {
    const link = pool.acquire();
    if (link === null) return undefined;
    const call = new HealthCall(pool, link, nowMs, hear, this.options.service);
    call.begin((to) => {
      const extras = [timeoutField(timeoutMs)];
      link.connection.sendHeaders(to, this.headers, extras, false);
      link.connection.sendData(to, this.body, 0, this.body.length, true);
    });
    return call;
  }
}

class HealthCall implements AttemptOwner, Probe {
  readonly holder = this;
  readonly holdsResponse = true;
  readonly isCommitted = false;
  /** It is about this connection and no other. */
  readonly isReplayable = false;
  private readonly attempt: Attempt;
  private write: (to: Stream) => void = () => {};

  constructor(
    pool: Pool,
    private readonly link: Session,
    private readonly askedMs: number,
    private readonly hear: ProbeCallback,
    private readonly service: string,
  ) {
    this.attempt = new Attempt(this, { pool }, askedMs);
  }

  begin(write: (to: Stream) => void): void {
    this.write = write;
    this.attempt.onSession(this.link);
  }

  get isPending(): boolean {
    return !this.attempt.isOver && this.link.isUsable && this.link.lastReadMs <= this.askedMs;
  }

  cancel(): void {
    this.attempt.abort(AttemptEnd.cancelled);
  }

  // ---- AttemptOwner ----

  writeRequest(_attempt: Attempt, _link: Session, stream: Stream): void {
    this.write(stream);
  }

  onRequestSent(): void {}

  forwardResponse(): void {}

  /** For as much as is looked at; there are few of these at a time. */
  reserveWideWindow(): boolean {
    return true;
  }

  /** So much is no answer to this question. */
  commitResponse(): void {
    this.attempt.abort(AttemptEnd.protocolError);
    this.hear('failed', 'the health check got an answer that is far too long');
  }

  onAttemptEnd(attempt: Attempt): void {
    switch (attempt.ended) {
      case AttemptEnd.trailers:
        return this.judge(attempt);
      case AttemptEnd.refusedStream:
      case AttemptEnd.goawayUnprocessed:
      case AttemptEnd.connectionLost:
        // Connections are somebody else's business.
        return this.hear('void', '');
      case AttemptEnd.reset:
        return this.hear('failed', `the health check was ${attempt.reason}`);
      case AttemptEnd.missingTrailers:
        return this.hear('failed', 'the health check ended without a status');
      default:
        return this.hear('failed', 'the answer to the health check broke the protocol');
    }
  }

  private judge(attempt: Attempt): void {
    switch (attempt.status) {
      case Status.OK:
        return this.judgeAnswer(readHealthAnswer(attempt.heldResponse?.whole() ?? NOTHING));
      // A server without a health service is well as long as it answers (gRFC A17). So is one that will not tell us, and
      // one that is too busy to: what it lets us have is for calls to find out.
      case Status.UNIMPLEMENTED:
      case Status.PERMISSION_DENIED:
      case Status.RESOURCE_EXHAUSTED:
        return this.hear('passed', '');
      case Status.DEADLINE_EXCEEDED:
        return this.hear('silent', 'the health check got DEADLINE_EXCEEDED');
      case Status.NOT_FOUND:
        if (this.service !== '')
          return this.hear('failed', `the health check says that there is no model ${this.service}`);
    }
    const details = detailsOf(attempt);
    const status = statusName(attempt.status);
    this.hear('failed', `the health check got ${status}${details === '' ? '' : `: ${details}`}`);
  }

  private judgeAnswer(status: number | undefined): void {
    if (status === Serving.SERVING) this.hear('passed', '');
    else if (status === undefined) this.hear('failed', 'the answer to the health check cannot be read');
    else this.hear('failed', `the health check says ${servingName(status)}`);
  }
}

/** `grpc-message`, percent-encoded UTF-8, on one line. */
function detailsOf({ trailers }: Attempt): string {
  const said = trailers === null ? '' : (extraValue(trailers, Token.grpcMessage) ?? '');
  let text = said;
  try {
    text = decodeURIComponent(said);
  } catch {
    // As it stands, then.
  }
  return text.replace(/\s+/g, ' ').trim().slice(0, MAX_DETAILS);
}

/** An HTTP/2 PING on a connection. Undefined: there is none. */
export function askByPing(pool: Pool, nowMs: number, hear: ProbeCallback): Probe | undefined {
  const link = pool.sessions.find(({ isUsable }) => isUsable);
  if (link === undefined) return undefined;
  let isCancelled = false;
  link.ping(() => {
    if (!isCancelled) hear('passed', '');
  });
  return {
    get isPending() {
      return link.isUsable && link.lastReadMs <= nowMs;
    },
    cancel() {
      isCancelled = true;
    },
  };
}

/** A connection of its own, which is closed at once. */
export function askByConnecting(socket: Socket, hear: ProbeCallback): Probe {
  let isOver = false;
  const end = (): boolean => {
    const isFirst = !isOver;
    isOver = true;
    socket.destroy();
    return isFirst;
  };
  socket.on('connect', () => {
    if (end()) hear('passed', '');
  });
  socket.on('error', (error) => {
    if (end()) hear('failed', `a connection was not made: ${describeSocketError(error)}`);
  });
  return { isPending: false, cancel: () => void end() };
}
