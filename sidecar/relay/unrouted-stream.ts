import { LocalReplyReasons, reasonMessage } from '../core/outcome/local-reply-reason.js';
import { headerViewOf } from '../http2/header-view.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import type { Stream } from '../http2/stream.js';
import { NO_OWNER } from '../http2/stream.js';
import type { CallStats } from '../telemetry/call-stats.js';
import type { DataPlaneContext } from '../transport/context.js';
import { isGrpcRequest, RejectedStream } from '../transport/not-grpc.js';
import type { Session } from '../transport/session.js';
import { messageField, replyHeaders } from './local-reply.js';

/** Calls that name an upstream that this sidecar does not have: answered with `unknown-route` and counted. */
export class UnroutedStream {
  private stats: CallStats | undefined;

  constructor(private readonly context: DataPlaneContext) {}

  accept(session: Session, stream: Stream, block: HeaderBlock, ended: boolean, name: string): void {
    const view = headerViewOf(block);
    if (!isGrpcRequest(view)) return void new RejectedStream(session, stream, ended);
    stream.owner = NO_OWNER;
    this.stats ??= this.context.stats.callStats({ direction: 'outbound', service: 'none', method: 'other' });
    this.stats.begin();
    const message = messageField(
      reasonMessage(LocalReplyReasons.unknownRoute, { path: `upstream "${name.slice(0, 100)}"` }),
    );
    const headers = replyHeaders(LocalReplyReasons.unknownRoute, view.contentType);
    session.connection.sendHeaders(stream, headers, [message], true);
    this.stats.countReason(LocalReplyReasons.unknownRoute.name);
    this.stats.finish(LocalReplyReasons.unknownRoute.status, 0);
  }
}
