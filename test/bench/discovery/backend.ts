/** A gRPC service at every address of this machine's loopback network, for the instances that the benchmark's Consul lists. */

import { createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { answerRequests } from '../../kit/process/asked-process.js';
import { SMALL_MESSAGE_BYTES } from '../load/protocol.js';

const ANSWER = Buffer.alloc(SMALL_MESSAGE_BYTES, 'outrider ');
ANSWER[0] = 0;
ANSWER.writeUInt32BE(SMALL_MESSAGE_BYTES - 5, 1);

const server = createServer({ settings: { maxConcurrentStreams: 1024 } });
server.on('session', (session) => session.on('error', () => {}));
server.on('stream', (stream) => {
  stream.on('error', () => {});
  stream.resume();
  stream.on('end', () => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(ANSWER);
  });
});
server.listen(0, '0.0.0.0', 4096, () => answerRequests(() => {}, (server.address() as AddressInfo).port));
