import { LocalReplyReasons, reasonMessage } from '../core/outcome/local-reply-reason.js';
import type { HeaderView } from '../http2/header-view.js';
import { headerViewOf } from '../http2/header-view.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import type { Stream, StreamOwner } from '../http2/stream.js';
import { NO_FIELDS, NO_OWNER } from '../http2/stream.js';
import type { CallStats } from '../telemetry/call-stats.js';
import type { DataPlaneContext } from '../transport/context.js';
import { FIRST_WINDOW } from '../transport/memory-budget.js';
import type { Session } from '../transport/session.js';
import { messageField, NOT_GRPC_BODY, NOT_GRPC_HEADERS, replyHeaders } from './local-reply.js';

/** gRPC over HTTP/2: POST with content-type application/grpc. */
export function isGrpcRequest(facts: HeaderView): boolean {
  return facts.method === 'POST' && facts.isGrpc;
}

/**
 * A request that is not gRPC: read to its end, then answered with status 415 and a sentence (gRPC over HTTP/2,
 * "Responses").
 */
export class RejectedStream implements StreamOwner {
  constructor(
    private readonly session: Session,
    stream: Stream,
    ended: boolean,
  ) {
    stream.owner = this;
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
    this.session.connection.sendHeaders(stream, NOT_GRPC_HEADERS, NO_FIELDS, false);
    this.session.connection.sendData(stream, NOT_GRPC_BODY, 0, NOT_GRPC_BODY.length, true);
  }
}

/** Calls that name an upstream that this sidecar does not have: answered with `unknown-route` and counted. */
export class UnroutedStream {
  private stats: CallStats | undefined;

  constructor(private readonly context: DataPlaneContext) {}

  accept(session: Session, stream: Stream, block: HeaderBlock, ended: boolean, name: string): void {
    if (!isGrpcRequest(headerViewOf(block))) return void new RejectedStream(session, stream, ended);
    stream.owner = NO_OWNER;
    this.stats ??= this.context.stats.callStats('outbound', 'none', 'other');
    this.stats.begin();
    const message = messageField(
      reasonMessage(LocalReplyReasons.unknownRoute, { path: `upstream "${name.slice(0, 100)}"` }),
    );
    session.connection.sendHeaders(stream, replyHeaders(LocalReplyReasons.unknownRoute), [message], true);
    this.stats.countReason(LocalReplyReasons.unknownRoute.name);
    this.stats.finish(LocalReplyReasons.unknownRoute.status, 0);
  }
}
