/** The floor: each connection is piped to one of its own to the backend, byte by byte as `node:net` has it. */

import * as net from 'node:net';

const [listenPort, backendPort] = process.argv.slice(2).map(Number);

const server = net.createServer((socket) => {
  const out = net.connect(backendPort!, '127.0.0.1');
  for (const each of [socket, out]) {
    each.setNoDelay(true);
    each.on('error', () => {
      socket.destroy();
      out.destroy();
    });
  }
  socket.pipe(out).pipe(socket);
});
server.listen(listenPort, '127.0.0.1');
