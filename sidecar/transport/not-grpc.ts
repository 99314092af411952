/** Requests that are not gRPC (gRPC over HTTP/2, "Responses"), at the ports of sidecars and of model servers. */

import type { HeaderView } from '../http2/header-view.js';
import { makeField } from '../http2/hpack/field.js';
import { StableList } from '../http2/hpack/header-list.js';
import { NO_FIELDS, type Stream } from '../http2/stream.js';
import { ReadToEnd } from './read-to-end.js';
import type { Session } from './session.js';

const HEADERS: StableList = StableList.of([
  makeField(':status', '415'),
  makeField('content-type', 'text/plain'),
]);
const BODY = Buffer.from('This port speaks gRPC: POST with content-type application/grpc.\n', 'latin1');

/** gRPC over HTTP/2: POST with content-type application/grpc. */
export function isGrpcRequest(facts: HeaderView): boolean {
  return facts.method === 'POST' && facts.isGrpc;
}

/** A request that is not gRPC: read to its end, then answered with status 415 and a sentence. */
export class RejectedStream extends ReadToEnd {
  constructor(session: Session, stream: Stream, ended: boolean) {
    super(session, stream);
    if (ended) this.answer(stream);
  }

  protected reply(stream: Stream): void {
    this.session.connection.sendHeaders(stream, HEADERS, NO_FIELDS, false);
    this.session.connection.sendData(stream, BODY, 0, BODY.length, true);
  }
}
