/** A gRPC server on a Unix socket, in place of a model service, that answers each call as the test says. */

import { createServer, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { afterTest } from '../mocha/after-test.js';

const HEADERS = { ':status': 200, 'content-type': 'application/grpc' };

/** One call of which the whole request has come. */
export interface AskedCall {
  readonly stream: ServerHttp2Stream;
  readonly headers: IncomingHttpHeaders;
  /** The request without its prefix. */
  readonly message: Buffer;
}

/** An uncompressed message with its prefix. */
export function prefixed(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** Answers OK with these bytes. */
export function respond(stream: ServerHttp2Stream, body: Buffer): void {
  stream.respond(HEADERS, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.end(body);
}

/** Answers with a status, and with nothing else. */
export function respondStatus(stream: ServerHttp2Stream, status: number, more = {}): void {
  stream.respond({ ...HEADERS, 'grpc-status': String(status), ...more }, { endStream: true });
}

/** Serves until the end of the test; `connections` counts those that were made. */
export async function serveOnSocket(path: string, answer: (call: AskedCall) => void) {
  const counts = { connections: 0 };
  const server = createServer();
  server.on('session', () => void counts.connections++);
  server.on('stream', (stream, headers) => {
    const parts: Buffer[] = [];
    stream.on('error', () => {});
    stream.on('data', (part: Buffer) => parts.push(part));
    stream.on('end', () => answer({ stream, headers, message: Buffer.concat(parts).subarray(5) }));
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  afterTest(() => new Promise<void>((resolve) => server.close(() => resolve())));
  return counts;
}
