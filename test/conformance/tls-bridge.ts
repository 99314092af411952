/**
 * A plain pipe from a loopback port into a mutual-TLS listener, for tools that cannot present a client certificate.
 *
 * It passes bytes and closings on, nothing else: half-closing and resets must reach the tool as the listener did
 * them, or it would be the bridge that is measured.
 */

import net from 'node:net';
import type { Address } from '../../sidecar/config/model.js';
import { openSocket, type TlsMaterial } from '../kit/http2/raw-client.js';

export interface Bridge {
  readonly host: string;
  readonly port: number;
  close(): Promise<void>;
}

export async function tlsBridge(target: Address, material: TlsMaterial): Promise<Bridge> {
  const open = new Set<net.Socket>();
  const server = net.createServer({ allowHalfOpen: true }, (near) => {
    open.add(near);
    near.setNoDelay(true);
    near.on('error', () => near.destroy());
    near.on('close', () => open.delete(near));
    near.pause();
    openSocket(target, material).then(
      (far) => {
        if (near.destroyed) {
          far.destroy();
          return;
        }
        far.on('error', () => near.destroy());
        // A TLS close ends both directions, as HTTP/2 has no use for a half-closed connection.
        far.on('end', () => near.end());
        far.on('close', () => near.destroySoon());
        near.on('close', () => far.destroy());
        near.pipe(far);
        far.pipe(near, { end: false });
      },
      () => near.destroy(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    host: '127.0.0.1',
    port: (server.address() as net.AddressInfo).port,
    close: () => {
      for (const socket of open) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
