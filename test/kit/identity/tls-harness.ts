/** Real TLS sockets for the identity tests: one handshake at a time, every socket and server closed at the end. */

import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import tls from 'node:tls';
import type { PeerVerification } from '../../../sidecar/identity/tls/peer-verification.js';
import { handshakeFailure } from '../../../sidecar/identity/tls/tls-options.js';

export type Version = 'TLSv1.2' | 'TLSv1.3';
export const VERSIONS: readonly Version[] = ['TLSv1.2', 'TLSv1.3'];

/** What one side saw: whether it accepted the peer, or the name of the fault that ended the handshake. */
export type Seen = { readonly service: string } | { readonly reason: string };

export interface Sides {
  readonly server: tls.TlsOptions;
  readonly client: tls.ConnectionOptions;
  /** How each side judges a socket; default: takes every peer. */
  readonly judgeClient?: (socket: tls.TLSSocket) => PeerVerification;
  readonly judgeServer?: (socket: tls.TLSSocket) => PeerVerification;
}

export class TlsHarness {
  private readonly open = new Set<{ destroy(): void } | tls.Server>();

  /** Closes everything that was opened since the last time. */
  async close(): Promise<void> {
    const closing = [...this.open].map((item) => {
      if (!(item instanceof tls.Server)) return item.destroy();
      return item.listening ? once(item.close(), 'close') : undefined;
    });
    this.open.clear();
    await Promise.all(closing);
  }

  async listen(options: tls.TlsOptions): Promise<tls.Server> {
    const server = tls.createServer({ noDelay: true, ...options });
    server.on('secureConnection', (socket) => this.track(socket));
    server.on('tlsClientError', () => {});
    server.listen(0, '127.0.0.1');
    this.open.add(server);
    await once(server, 'listening');
    return server;
  }

  connect(server: tls.Server, options: tls.ConnectionOptions): tls.TLSSocket {
    const { port } = server.address() as AddressInfo;
    return this.track(tls.connect({ ...options, host: '127.0.0.1', port }).setNoDelay(true));
  }

  /** One connection to a server of its own (or to `at`), seen from both sides. */
  async handshake(sides: Sides, at?: tls.Server) {
    const server = at ?? (await this.listen(sides.server));
    const accepted = serverSide(server, sides.judgeClient);
    const client = this.connect(server, sides.client);
    const sessions: Buffer[] = [];
    client.on('session', (session) => sessions.push(session));
    const connected = clientSide(client, sides.judgeServer);
    const [atServer, atClient] = await Promise.all([accepted, connected]);
    if (atServer.socket && atClient.socket) await exchange(atServer.socket, client);
    const result = {
      server: atServer.seen,
      client: atClient.seen,
      resumed: { server: atServer.socket?.isSessionReused() ?? false, client: client.isSessionReused() },
      alpn: client.alpnProtocol,
      protocol: atServer.socket?.getProtocol() ?? null,
      cipher: atServer.socket?.getCipher()?.name,
      servername: (atServer.socket as { servername?: string | false } | undefined)?.servername ?? null,
      /** To be given to another handshake. */
      session: sessions.at(-1),
    };
    client.destroy();
    atServer.socket?.destroy();
    return result;
  }

  private track<T extends tls.TLSSocket>(socket: T): T {
    socket.on('error', () => {});
    this.open.add(socket);
    socket.on('close', () => this.open.delete(socket));
    return socket;
  }
}

/** There and back twice: by then the server's tickets have come and been announced. */
async function exchange(server: tls.TLSSocket, client: tls.TLSSocket): Promise<void> {
  for (let i = 0; i < 2; i++) {
    const there = once(client, 'data');
    server.write('.');
    await there;
    const back = once(server, 'data');
    client.write('.');
    await back;
  }
}

interface Side {
  readonly seen: Seen;
  readonly socket: tls.TLSSocket | undefined;
}

function judged(socket: tls.TLSSocket, judge: Sides['judgeClient']): Seen {
  const verdict = judge?.(socket);
  if (!verdict) return { service: 'any' };
  return verdict.kind === 'accepted' ? { service: verdict.id.service } : { reason: verdict.reason };
}

function serverSide(server: tls.Server, judge: Sides['judgeClient']): Promise<Side> {
  return new Promise((resolve) => {
    const secured = (socket: tls.TLSSocket) => {
      server.off('tlsClientError', failed);
      resolve({ seen: judged(socket, judge), socket });
    };
    const failed = (error: Error, socket: tls.TLSSocket) => {
      server.off('secureConnection', secured);
      resolve(failedBy(error, socket));
    };
    server.once('secureConnection', secured);
    server.once('tlsClientError', failed);
  });
}

function clientSide(socket: tls.TLSSocket, judge: Sides['judgeServer']): Promise<Side> {
  return new Promise((resolve) => {
    socket.once('secureConnect', () => resolve({ seen: judged(socket, judge), socket }));
    socket.once('error', (error) => resolve(failedBy(error)));
    socket.once('close', () => resolve({ seen: { reason: 'closed' }, socket: undefined }));
  });
}

function failedBy(error: Error & { code?: string }, socket?: tls.TLSSocket): Side {
  const reason = handshakeFailure(error, socket) ?? error.code ?? error.message;
  return { seen: { reason }, socket: undefined };
}
