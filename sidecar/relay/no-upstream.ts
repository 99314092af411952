/** Calls on the shared listener that name no upstream: answered, so that the caller learns which name was wrong. */

import { Reasons, reasonMessage } from '../core/outcome/local-reply-reason.js';
import { factsOf } from '../http2/header-view.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import type { Stream } from '../http2/stream.js';
import type { CallTally } from '../telemetry/call-stats.js';
import type { Relay } from '../transport/context.js';
import type { Link } from '../transport/session.js';
import { answerHeaders, messageField } from './local-reply.js';
import { isGrpcRequest, NotGrpc } from './rejected-stream.js';

export class NoUpstream {
  private tally: CallTally | undefined;

  constructor(private readonly relay: Relay) {}

  accept(link: Link, stream: Stream, block: HeaderBlock, ended: boolean, name: string): void {
    if (!isGrpcRequest(factsOf(block))) return void new NotGrpc(link, stream, ended);
    stream.owner = IGNORE;
    this.tally ??= this.relay.tally.call('outbound', 'none', 'other');
    this.tally.started++;
    this.tally.inFlight++;
    const message = messageField(
      reasonMessage(Reasons.unknownRoute, { path: `upstream "${name.slice(0, 100)}"` }),
    );
    link.connection.sendHeaders(stream, answerHeaders(Reasons.unknownRoute), [message], true);
    this.tally.reason(Reasons.unknownRoute.name);
    this.tally.finished(Reasons.unknownRoute.status, 0);
  }
}

const IGNORE = { onHeaders() {}, onData() {}, onTrailers() {}, onEnding() {}, onSent() {} };
