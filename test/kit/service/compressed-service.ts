/**
 * The compression half of the interoperability TestService, on Node's own HTTP/2 with our own message framing.
 *
 * grpc-js servers neither send compressed messages nor tell a handler whether one came compressed; these cases are
 * about exactly that flag, so this service reads and writes it itself (gRPC over HTTP/2, "Length-Prefixed-Message").
 */

import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { gunzipSync, gzipSync, inflateSync } from 'node:zlib';
import type { Address } from '../../../sidecar/config/model.js';
import { grpcMessage } from '../http2/h2-frames.js';
import { type EchoStatus, methodOf, type SimpleRequest } from './test-proto.js';

/** One message as it stood on the wire. */
export interface WireMessage {
  readonly compressed: boolean;
  readonly body: Buffer;
}

/** Splits a stream's bytes into messages; the rest stays for the next push. */
export class MessageReader {
  #pending: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): WireMessage[] {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    const out: WireMessage[] = [];
    while (this.#pending.length >= 5) {
      const length = this.#pending.readUInt32BE(1);
      if (this.#pending.length < 5 + length) break;
      out.push({ compressed: this.#pending[0] === 1, body: this.#pending.subarray(5, 5 + length) });
      this.#pending = this.#pending.subarray(5 + length);
    }
    return out;
  }
}

export function inflate(message: WireMessage, encoding: string | undefined): Buffer {
  if (!message.compressed) return message.body;
  if (encoding === 'gzip') return gunzipSync(message.body);
  if (encoding === 'deflate') return inflateSync(message.body);
  throw new Error(`compressed message under grpc-encoding ${encoding}`);
}

export const wire = (body: Buffer, compressed: boolean): Buffer =>
  compressed ? grpcMessage(gzipSync(body), undefined, 1) : grpcMessage(body);

const INVALID_ARGUMENT = 3;
const UNIMPLEMENTED = 12;
const MAX_BODY = 4 * 65_536;

const MISMATCH = { code: INVALID_ARGUMENT, message: 'compressed flag is not what the message announced' };

/** The answer to the complete list of request messages, of which `encoding` names the compression. */
function answerTo(path: string, messages: readonly WireMessage[], encoding?: string): Buffer | EchoStatus {
  const [first] = messages;
  if (first === undefined) return { code: INVALID_ARGUMENT, message: 'no message' };
  const inflated = messages.map((message) => inflate(message, encoding));
  /** Whether each message is compressed as it says. */
  const areAsSaid = (requests: readonly Pick<SimpleRequest, 'expect_compressed'>[]): boolean =>
    requests.every(({ expect_compressed: said }, i) => !said || said.value === messages[i]!.compressed);
  if (path.endsWith('/UnaryCall')) {
    const method = methodOf('UnaryCall');
    const request = method.requestDeserialize(inflated[0]!);
    if (!areAsSaid([request])) return MISMATCH;
    const body = method.responseSerialize({ payload: { body: Buffer.alloc(request.response_size ?? 0) } });
    return wire(body, request.response_compressed?.value === true);
  }
  if (path.endsWith('/StreamingInputCall')) {
    const method = methodOf('StreamingInputCall');
    const requests = inflated.map(method.requestDeserialize);
    if (!areAsSaid(requests)) return MISMATCH;
    const size = requests.reduce((sum, { payload }) => sum + (payload?.body.length ?? 0), 0);
    return wire(method.responseSerialize({ aggregated_payload_size: size }), false);
  }
  if (path.endsWith('/StreamingOutputCall')) {
    const method = methodOf('StreamingOutputCall');
    const request = method.requestDeserialize(inflated[0]!);
    const replies = request.response_parameters.map(({ size, compressed }) => {
      const body = Buffer.alloc(Math.min(size, MAX_BODY));
      return wire(method.responseSerialize({ payload: { body } }), compressed?.value === true);
    });
    return Buffer.concat(replies);
  }
  return { code: UNIMPLEMENTED, message: path };
}

export async function startCompressedService(): Promise<{ address: Address; close(): void }> {
  const sessions = new Set<http2.ServerHttp2Session>();
  const server = http2.createServer({ settings: { initialWindowSize: 1 << 20 } });
  server.on('sessionError', () => {});
  server.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
  });
  server.on('stream', (stream, fields) => {
    stream.on('error', () => {});
    const reader = new MessageReader();
    const messages: WireMessage[] = [];
    stream.on('data', (chunk: Buffer) => messages.push(...reader.push(chunk)));
    stream.on('end', () => {
      const encoding = fields['grpc-encoding'] as string | undefined;
      const answer = answerTo(String(fields[':path']), messages, encoding);
      const { code, message } = Buffer.isBuffer(answer) ? { code: 0, message: '' } : answer;
      const headers = { ':status': 200, 'content-type': 'application/grpc', 'grpc-encoding': 'gzip' };
      stream.respond(headers, { waitForTrailers: true });
      const trailers = { 'grpc-status': String(code), 'grpc-message': encodeURIComponent(message) };
      stream.on('wantTrailers', () => stream.sendTrailers(trailers));
      stream.end(Buffer.isBuffer(answer) ? answer : undefined);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: { kind: 'tcp', host: '127.0.0.1', port: (server.address() as AddressInfo).port },
    close: () => {
      for (const session of sessions) session.destroy();
      server.close();
    },
  };
}
