/**
 * One gRPC call over Node's own HTTP/2 that shows what stood on the wire: headers, trailers, and each message with
 * its compressed flag. grpc-js hides all three.
 */

import http2 from 'node:http2';
import { writeAddress } from '../../../sidecar/config/codecs/address.js';
import type { Address } from '../../../sidecar/config/model.js';
import { MessageReader, type WireMessage } from './compressed-service.js';

export interface FramedReply {
  readonly headers: http2.IncomingHttpHeaders;
  readonly messages: readonly WireMessage[];
  /** `grpc-status` from the trailers, or from the headers of a trailers-only answer; -1 when there was none. */
  readonly status: number;
}

interface FramedCall {
  readonly path: string;
  readonly body: Buffer;
  readonly headers?: http2.OutgoingHttpHeaders;
}

const LIMIT_MS = 10_000;

/** Makes one call on a connection of its own and closes it. */
export async function framedCall(address: Address, call: FramedCall): Promise<FramedReply> {
  const session = http2.connect(`http://${writeAddress(address)}`);
  session.on('error', () => {});
  try {
    return await exchange(session, call);
  } finally {
    session.destroy();
  }
}

function exchange(session: http2.ClientHttp2Session, call: FramedCall): Promise<FramedReply> {
  return new Promise((resolve, reject) => {
    const reader = new MessageReader();
    const messages: WireMessage[] = [];
    let headers: http2.IncomingHttpHeaders = {};
    let trailers: http2.IncomingHttpHeaders = {};
    const late = new Error(`no answer to ${call.path} within ${LIMIT_MS} ms`);
    const timer = setTimeout(() => reject(late), LIMIT_MS);
    const common = { ':method': 'POST', te: 'trailers', 'content-type': 'application/grpc' };
    const stream = session.request({ ...common, ':path': call.path, ...call.headers });
    stream.on('response', (fields) => {
      headers = fields;
    });
    stream.on('trailers', (fields) => {
      trailers = fields;
    });
    stream.on('data', (chunk: Buffer) => messages.push(...reader.push(chunk)));
    stream.on('error', () => {});
    stream.on('close', () => {
      clearTimeout(timer);
      const status = trailers['grpc-status'] ?? headers['grpc-status'];
      resolve({ headers, messages, status: Number(status ?? -1) });
    });
    stream.end(call.body);
  });
}
