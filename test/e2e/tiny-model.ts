/**
 * A model service of somebody else, run as a program: answers health checks on $OUTRIDER_MODEL_LISTEN (unix:PATH),
 * and does what its arguments say. `serving-when FILE`: SERVING once the file exists. `stubborn`: ignores SIGTERM.
 */

import { existsSync } from 'node:fs';
import { createServer } from 'node:http2';

const [behaviour, file = ''] = process.argv.slice(2);
const path = process.env['OUTRIDER_MODEL_LISTEN']!.replace(/^unix:/, '');

const server = createServer();
server.on('stream', (stream) => {
  stream.on('error', () => {});
  const isServing = behaviour !== 'serving-when' || existsSync(file);
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.end(Buffer.from([0, 0, 0, 0, 2, 0x08, isServing ? 1 : 2]));
});
server.listen(path);
process.on('SIGTERM', () => {
  if (behaviour !== 'stubborn') process.exit(0);
});
