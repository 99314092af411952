/**
 * Keeps TLS current while identities change: servers get a new secure context, new outgoing connections new
 * credentials. Connections that stand are not touched; their users may judge them again when roots change.
 */

import type { ConnectionOptions, Server } from 'node:tls';
import type { PeerTrust } from './peer.js';
import type { Identity, IdentitySource } from './source.js';
import { type ClientCredentials, clientConnectOptions, clientCredentials, serverTlsOptions } from './tls.js';

export interface Rotated {
  readonly identity: Identity;
  readonly trust: PeerTrust;
  /** A root was added or removed: judge standing connections again with `verifyPeerSocket`. */
  readonly rootsChanged: boolean;
}

export class TlsRotation {
  private credentials: ClientCredentials | undefined;
  private readonly servers = new Set<Server>();
  private readonly listeners = new Set<(change: Rotated) => void>();
  private readonly unsubscribe: () => void;
  private count = 0;
  private lastFault: string | undefined;

  constructor(
    source: IdentitySource,
    private readonly wallNow: () => number,
  ) {
    const identity = source.current();
    if (identity) this.credentials = clientCredentials(identity);
    this.unsubscribe = source.subscribe((next) => this.rotate(next));
  }

  /** Undefined until the source has its first identity. */
  get identity(): Identity | undefined {
    return this.credentials?.identity;
  }

  /** Whom to believe now, for `verifyPeerSocket`. */
  get trust(): PeerTrust | undefined {
    return this.credentials?.trust;
  }

  /** Identities taken over since the start, the first not counted. */
  get rotations(): number {
    return this.count;
  }

  /** Why the last identity was not taken over; the one before it stays in use. */
  get problem(): string | undefined {
    return this.lastFault;
  }

  /** From now on the server presents the current identity. Returns the way to stop. */
  attach(server: Server): () => void {
    this.servers.add(server);
    if (this.credentials) server.setSecureContext(serverTlsOptions(this.credentials.identity));
    return () => this.servers.delete(server);
  }

  /** Options for `tls.connect` to an endpoint of `service`; undefined while there is no identity. */
  clientOptions(service: string): ConnectionOptions | undefined {
    return this.credentials && clientConnectOptions(this.credentials, service, this.wallNow);
  }

  /** Called after each rotation, servers included. */
  subscribe(listener: (change: Rotated) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  close(): void {
    this.unsubscribe();
    this.servers.clear();
    this.listeners.clear();
  }

  private rotate(identity: Identity): void {
    const before = this.credentials;
    let next: ClientCredentials;
    try {
      next = clientCredentials(identity);
      const options = serverTlsOptions(identity);
      for (const server of this.servers) server.setSecureContext(options);
    } catch (error) {
      this.lastFault = error instanceof Error ? error.message : String(error);
      return;
    }
    this.credentials = next;
    this.lastFault = undefined;
    if (before) this.count++;
    const change = {
      identity,
      trust: next.trust,
      rootsChanged: before?.identity.rootsPem !== identity.rootsPem,
    };
    for (const listener of [...this.listeners]) listener(change);
  }
}
