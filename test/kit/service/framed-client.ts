/**
 * One gRPC call over Node's own HTTP/2 that shows what stood on the wire: headers, trailers, and each message with
 * its compressed flag. grpc-js hides all three.
 */

import http2 from 'node:http2';
import type { Address } from '../../../sidecar/config/model.js';
import { MessageReader, type WireMessage } from './compressed-service.js';

export interface FramedReply {
  readonly headers: http2.IncomingHttpHeaders;
  readonly trailers: http2.IncomingHttpHeaders;
  readonly messages: readonly WireMessage[];
  /** `grpc-status` from the trailers, or from the headers of a trailers-only answer; -1 when there was none. */
  readonly status: number;
  readonly resetCode: number;
}

export interface FramedCall {
  readonly path: string;
  readonly body: Buffer;
  readonly headers?: http2.OutgoingHttpHeaders;
  /** Fails after this long. Default 10 s. */
  readonly timeoutMs?: number;
}

export const urlOf = (address: Address): string => {
  if (address.kind === 'unix') throw new Error('a TCP address is wanted');
  return `${address.host}:${address.port}`;
};

/** Makes one call on a connection of its own and closes it. */
export async function framedCall(address: Address, call: FramedCall): Promise<FramedReply> {
  const session = http2.connect(`http://${urlOf(address)}`);
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
    const timeoutMs = call.timeoutMs ?? 10_000;
    const timer = setTimeout(
      () => reject(new Error(`no answer to ${call.path} within ${timeoutMs} ms`)),
      timeoutMs,
    );
    const stream = session.request({
      ':method': 'POST',
      ':path': call.path,
      te: 'trailers',
      'content-type': 'application/grpc',
      ...call.headers,
    });
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
      resolve({
        headers,
        trailers,
        messages,
        status: status === undefined ? -1 : Number(status),
        resetCode: stream.rstCode ?? 0,
      });
    });
    stream.end(call.body);
  });
}
