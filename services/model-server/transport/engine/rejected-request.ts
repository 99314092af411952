import { NO_FIELDS, type Stream, type StreamOwner } from '../../../../sidecar/http2/stream.js';
import { FIRST_WINDOW } from '../../../../sidecar/transport/memory-budget.js';
import type { Session } from '../../../../sidecar/transport/session.js';
import { NOT_GRPC, NOT_GRPC_BODY } from './response-fields.js';

/** A request that is not gRPC: read to its end, then answered with status 415. */
export class RejectedRequest implements StreamOwner {
  constructor(
    private readonly session: Session,
    stream: Stream,
    ended: boolean,
  ) {
    if (ended) this.reply(stream);
  }

  onHeaders(): void {}

  onData(stream: Stream, _buffer: Buffer, start: number, end: number, ended: boolean): void {
    if (ended) this.reply(stream);
    else this.session.connection.credit(stream, end - start, FIRST_WINDOW);
  }

  onTrailers(stream: Stream): void {
    this.reply(stream);
  }

  onEnding(): void {}
  onSent(): void {}

  private reply(stream: Stream): void {
    const { connection } = this.session;
    connection.sendHeaders(stream, NOT_GRPC, NO_FIELDS, false);
    connection.sendData(stream, NOT_GRPC_BODY, 0, NOT_GRPC_BODY.length, true);
  }
}
