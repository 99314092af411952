/** The plain way with Node's own module: a process that forwards every stream of its server to one client session. */

import * as http2 from 'node:http2';

const WINDOW = 1024 * 1024;
const CONNECTION_WINDOW = 16 * 1024 * 1024;

const [listenPort, backendPort] = process.argv.slice(2).map(Number);
const settings: http2.Settings = { initialWindowSize: WINDOW, maxConcurrentStreams: 512, enablePush: false };

const upstream = http2.connect(`http://127.0.0.1:${backendPort}`, {
  settings: { initialWindowSize: WINDOW, enablePush: false },
});
upstream.on('connect', () => upstream.setLocalWindowSize(CONNECTION_WINDOW));
upstream.on('error', (error) => {
  console.error(error);
  process.exit(1);
});

function forward(stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders): void {
  const out = upstream.request(headers);
  let trailers: http2.IncomingHttpHeaders = {};
  const fail = (): void => {
    out.close(http2.constants.NGHTTP2_CANCEL);
    stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
  };
  stream.on('error', fail);
  out.on('error', fail);
  out.on('response', (head) => {
    stream.respond(head, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers(trailers));
    out.pipe(stream);
  });
  out.on('trailers', (fields) => {
    trailers = fields;
  });
  stream.pipe(out);
}

const server = http2.createServer({ settings });
server.on('session', (session) => {
  session.setLocalWindowSize(CONNECTION_WINDOW);
  session.on('error', () => {});
});
server.on('stream', forward);
server.listen(listenPort, '127.0.0.1');
