/**
 * A model service that is not ours, run as a program: answers health checks on $OUTRIDER_MODEL_LISTEN,
 * and does what its arguments say. `serving-when FILE`: SERVING once the file exists. `stubborn`: ignores SIGTERM. A call with
 * `x-block-ms` holds up everything for so long before it is answered, using CPU if it says `x-block-by: cpu`.
 */

import { existsSync } from 'node:fs';
import { createServer } from 'node:http2';

const [behaviour, file = ''] = process.argv.slice(2);
const listen = process.env['OUTRIDER_MODEL_LISTEN']!;

const server = createServer();
server.on('stream', (stream, headers) => {
  stream.on('error', () => {});
  const blockMs = Number(headers['x-block-ms'] ?? 0);
  if (blockMs > 0) block(blockMs, headers['x-block-by'] === 'cpu');
  const isServing = behaviour !== 'serving-when' || existsSync(file);
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.end(Buffer.from([0, 0, 0, 0, 2, 0x08, isServing ? 1 : 2]));
});
if (listen.startsWith('unix:')) server.listen(listen.slice('unix:'.length));
else server.listen(Number(listen.split(':').at(-1)), '127.0.0.1');
process.on('SIGTERM', () => {
  if (behaviour !== 'stubborn') process.exit(0);
});

function block(ms: number, byCpu: boolean): void {
  const untilMs = performance.now() + ms;
  if (!byCpu) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
  while (performance.now() < untilMs);
}
