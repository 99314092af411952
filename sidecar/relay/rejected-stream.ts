/** Answers a request that is no gRPC request, once it has been read to its end: 415 and a sentence. */

import { Reasons, reasonMessage } from '../core/outcome/local-reply-reason.js';
import type { HeaderView } from '../http2/header-view.js';
import { headerViewOf } from '../http2/header-view.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import type { Stream, StreamOwner } from '../http2/stream.js';
import { NO_FIELDS } from '../http2/stream.js';
import type { CallStats } from '../telemetry/call-stats.js';
import type { DataPlaneContext } from '../transport/context.js';
import { FIRST_WINDOW } from '../transport/memory-budget.js';
import type { Session } from '../transport/session.js';
import { messageField, NOT_GRPC_BODY, NOT_GRPC_HEADERS, replyHeaders } from './local-reply.js';

/** gRPC over HTTP/2: POST with content-type application/grpc. */
export function isGrpcRequest(facts: HeaderView): boolean {
  return facts.method === 'POST' && facts.isGrpc;
}

export class RejectedStream implements StreamOwner {
  constructor(
    private readonly link: Session,
    stream: Stream,
    ended: boolean,
  ) {
    stream.owner = this;
    if (ended) this.answer(stream);
  }

  onHeaders(): void {}

  onData(stream: Stream, _buffer: Buffer, start: number, end: number, ended: boolean): void {
    if (ended) this.answer(stream);
    else this.link.connection.credit(stream, end - start, FIRST_WINDOW);
  }

  onTrailers(stream: Stream): void {
    this.answer(stream);
  }

  onEnding(): void {}
  onSent(): void {}

  private answer(stream: Stream): void {
    this.link.connection.sendHeaders(stream, NOT_GRPC_HEADERS, NO_FIELDS, false);
    this.link.connection.sendData(stream, NOT_GRPC_BODY, 0, NOT_GRPC_BODY.length, true);
  }
}

export class UnroutedStream {
  private tally: CallStats | undefined;

  constructor(private readonly relay: DataPlaneContext) {}

  accept(link: Session, stream: Stream, block: HeaderBlock, ended: boolean, name: string): void {
    if (!isGrpcRequest(headerViewOf(block))) return void new RejectedStream(link, stream, ended);
    stream.owner = IGNORE;
    this.tally ??= this.relay.stats.call('outbound', 'none', 'other');
    this.tally.started++;
    this.tally.inFlight++;
    const message = messageField(
      reasonMessage(Reasons.unknownRoute, { path: `upstream "${name.slice(0, 100)}"` }),
    );
    link.connection.sendHeaders(stream, replyHeaders(Reasons.unknownRoute), [message], true);
    this.tally.reason(Reasons.unknownRoute.name);
    this.tally.finished(Reasons.unknownRoute.status, 0);
  }
}

const IGNORE = { onHeaders() {}, onData() {}, onTrailers() {}, onEnding() {}, onSent() {} };
