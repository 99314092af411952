/**
 * Keeps TLS current while identities change: servers get a new secure context, new outgoing connections new
 * credentials. Connections that stand are not touched; their users may judge them again when roots change.
 */

import type { ConnectionOptions, Server, TLSSocket } from 'node:tls';
import type { Timer, Timers } from '../../runtime/time/timers.js';
import type { Identity, IdentitySource } from '../identity.js';
import type { PeerRejection, PeerTrust } from './peer-verification.js';
import {
  type ClientCredentials,
  clientConnectOptions,
  clientCredentials,
  handshakeFailure,
  type PeerName,
  serverTlsOptions,
} from './tls-options.js';

export interface Rotated {
  readonly identity: Identity;
  readonly trust: PeerTrust;
  /** A root was added or removed: judge standing connections again with `verifyPeerSocket`. */
  readonly rootsChanged: boolean;
}

const EXPIRY_LOOK_MS = 60_000;

export class TlsRotation {
  private credentials: ClientCredentials | undefined;
  private readonly servers = new Set<Server>();
  private readonly listeners = new Set<(change: Rotated) => void>();
  private readonly unsubscribe: () => void;
  private count = 0;
  private lastProblem: string | undefined;
  private readonly expiryListeners = new Set<(identity: Identity) => void>();
  private expiry: Timer | undefined;

  /** `timers`: for `onExpiry`; without them nobody is told. */
  constructor(
    source: IdentitySource,
    private readonly wallNow: () => number,
    private readonly timers?: Timers,
  ) {
    const identity = source.current();
    if (identity) this.credentials = clientCredentials(identity);
    this.watchExpiry();
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
    return this.lastProblem;
  }

  /** From now on the server presents the current identity. Returns the way to stop. */
  attach(server: Server): () => void {
    this.servers.add(server);
    if (this.credentials) server.setSecureContext(serverTlsOptions(this.credentials.identity));
    return () => this.servers.delete(server);
  }

  /** Whether our own certificate is over: we present it to nobody any more. False while there is none. */
  get isExpired(): boolean {
    const notAfterMs = this.credentials?.identity.notAfterMs;
    // Written so that a clock that is no number counts as late.
    return notAfterMs !== undefined && !(this.wallNow() <= notAfterMs);
  }

  /**
   * Options for `tls.connect` to an endpoint of a service (a string: of any datacenter); undefined while there is no
   * identity, or only an expired one.
   */
  clientOptions(peer: PeerName | string): ConnectionOptions | undefined {
    if (this.credentials === undefined || this.isExpired) return undefined;
    return clientConnectOptions(this.credentials, peer, this.wallNow);
  }

  /** Why a handshake failed, ours to blame included; undefined when it was about neither side's certificate. */
  handshakeFailure(
    error: (Error & { readonly code?: string }) | undefined,
    socket: TLSSocket | undefined,
  ): PeerRejection | 'no-identity' | undefined {
    if (this.credentials === undefined) return 'no-identity';
    return handshakeFailure(error, socket);
  }

  /** Called after each rotation, servers included. */
  subscribe(listener: (change: Rotated) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Called when our certificate expires before another came: connections that stand were made with it. */
  onExpiry(listener: (identity: Identity) => void): () => void {
    this.expiryListeners.add(listener);
    return () => this.expiryListeners.delete(listener);
  }

  close(): void {
    this.unsubscribe();
    this.expiry?.cancel();
    this.servers.clear();
    this.listeners.clear();
    this.expiryListeners.clear();
  }

  /** The wall clock may jump, and timers keep another time: looked at again at least once a minute. */
  private watchExpiry(): void {
    this.expiry?.cancel();
    this.expiry = undefined;
    const identity = this.credentials?.identity;
    if (identity === undefined || this.timers === undefined) return;
    const leftMs = identity.notAfterMs - this.wallNow() + 1;
    const delayMs = Math.min(Math.max(leftMs, 0), EXPIRY_LOOK_MS);
    this.expiry = this.timers.after(
      delayMs,
      () => {
        if (!this.isExpired) return this.watchExpiry();
        this.expiry = undefined;
        for (const listener of [...this.expiryListeners]) listener(identity);
      },
      { unref: true },
    );
  }

  private rotate(identity: Identity): void {
    const before = this.credentials;
    let next: ClientCredentials;
    try {
      next = clientCredentials(identity);
      const options = serverTlsOptions(identity);
      for (const server of this.servers) server.setSecureContext(options);
    } catch (error) {
      this.lastProblem = error instanceof Error ? error.message : String(error);
      return;
    }
    this.credentials = next;
    this.lastProblem = undefined;
    this.watchExpiry();
    if (before) this.count++;
    const change = {
      identity,
      trust: next.trust,
      rootsChanged: before?.identity.rootsPem !== identity.rootsPem,
    };
    for (const listener of [...this.listeners]) listener(change);
  }
}
