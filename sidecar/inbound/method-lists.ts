import { framed } from '../codec/grpc-message.js';
import { writeMethodList } from '../codec/method-list.js';
import { Status } from '../core/outcome/status.js';
import type { MethodList } from '../core/routing/method-kinds.js';
import { makeField } from '../http2/hpack/field.js';
import { type HeaderBlock, StableList } from '../http2/hpack/header-list.js';
import { NO_FIELDS, type Stream } from '../http2/stream.js';
import { type LocalReply, messageField, replyHeaders } from '../relay/local-reply.js';
import { ReadToEnd } from '../transport/read-to-end.js';
import type { Session } from '../transport/session.js';

const HEAD = StableList.of([makeField(':status', '200'), makeField('content-type', 'application/grpc')]);
const OK = StableList.of([makeField('grpc-status', '0')]);

/** Without a message: the list is not there (yet). */
const headersOf = (status: number): StableList =>
  StableList.of([
    makeField(':status', '200'),
    makeField('content-type', 'application/grpc'),
    makeField('grpc-status', String(status)),
  ]);
const NOT_YET = headersOf(Status.UNAVAILABLE);
const NONE = headersOf(Status.UNIMPLEMENTED);

/**
 * Tells peers which methods the local model service has (codec/method-list.ts), beside the calls: the streams count as none. Before
 * the service has said it the answer is UNAVAILABLE, and UNIMPLEMENTED where it does not say it.
 */
export class MethodLists {
  /** The list as it is sent, its prefix included; null: see `isOpen`. */
  private message: Buffer | null = null;
  /** The service may still say it. */
  isOpen = true;
  answered = 0;

  /** @param check the reply to a peer that may not ask; null: it may. */
  constructor(private readonly check: (session: Session, block: HeaderBlock) => LocalReply | null) {}

  /** What the service says now; undefined: nothing, and it will not. */
  set(list: MethodList | undefined): void {
    this.isOpen = false;
    this.message = list === undefined ? null : framed(writeMethodList(list));
  }

  /** A peer asks. */
  accept(session: Session, stream: Stream, block: HeaderBlock, ended: boolean): void {
    new ListStream(this, session, stream, this.check(session, block), ended);
  }

  answer({ connection }: Session, stream: Stream, refusal: LocalReply | null): void {
    this.answered++;
    const { message } = this;
    if (refusal !== null) {
      const extras = [messageField(refusal.message)];
      connection.sendHeaders(stream, replyHeaders(refusal.reason, ''), extras, true);
    } else if (message === null) {
      connection.sendHeaders(stream, this.isOpen ? NOT_YET : NONE, NO_FIELDS, true);
    } else {
      connection.sendHeaders(stream, HEAD, NO_FIELDS, false);
      connection.sendData(stream, message, 0, message.length, false);
      connection.sendTrailers(stream, OK, NO_FIELDS);
    }
  }
}

/** The stream of one question, read to its end: nothing in it matters. That of a peer that may not ask is answered at once. */
class ListStream extends ReadToEnd {
  constructor(
    private readonly lists: MethodLists,
    session: Session,
    stream: Stream,
    private readonly refusal: LocalReply | null,
    ended: boolean,
  ) {
    super(session, stream);
    if (ended || refusal !== null) this.answer(stream);
  }

  protected reply(stream: Stream): void {
    this.lists.answer(this.session, stream, this.refusal);
  }
}
