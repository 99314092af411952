import type { ConnectionOptions, Server, TLSSocket } from 'node:tls';
import { messageOf } from '../../runtime/log/message-of.js';
import type { Timer, Timers } from '../../runtime/time/timers.js';
import { hasSameRoots, type Identity, type IdentitySource } from '../identity.js';
import type { PeerRejection, PeerTrust } from './peer-verification.js';
import {
  type ClientCredentials,
  clientConnectOptions,
  clientCredentials,
  handshakeFailure,
  type PeerName,
  serverTlsOptions,
} from './tls-options.js';

/** A rotation that has taken effect. */
export interface Rotated {
  readonly identity: Identity;
  readonly trust: PeerTrust;
  /**
   * A root was added or removed: open connections have to be verified again with
   * `verifyPeerSocket`.
   */
  readonly rootsChanged: boolean;
}

/** The wall clock may jump: the expiry is compared again at least this often. */
const EXPIRY_CHECK_MS = 60_000;

/**
 * Applies new identities to TLS: servers get a new secure context, new outbound connections the new
 * credentials. Open connections are not touched.
 */
export class TlsRotation {
  private credentials: ClientCredentials | undefined;
  private readonly servers = new Set<Server>();
  private readonly listeners = new Set<(change: Rotated) => void>();
  private readonly unsubscribe: () => void;
  private count = 0;
  private lastProblem: string | undefined;
  private readonly expiryListeners = new Set<(identity: Identity) => void>();
  private expiry: Timer | undefined;
  /** The end of this identity has been told. */
  private isEndTold = false;

  /** @param timers for `onExpiry`; without them it never calls back. */
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

  /** The current trust, for `verifyPeerSocket`. */
  get trust(): PeerTrust | undefined {
    return this.credentials?.trust;
  }

  /** Rotations since the start; the first identity is not one. */
  get rotations(): number {
    return this.count;
  }

  /**
   * Why the newest identity was not taken over, while the one before it stays in use; undefined
   * when it was.
   */
  get problem(): string | undefined {
    return this.lastProblem;
  }

  /**
   * The server presents the current identity from now on. Returns the function that detaches it.
   */
  attach(server: Server): () => void {
    this.servers.add(server);
    if (this.credentials) server.setSecureContext(serverTlsOptions(this.credentials.identity));
    return () => this.servers.delete(server);
  }

  /**
   * Whether our certificate has expired, so that no connection may present it. False while there is
   * none.
   */
  get isExpired(): boolean {
    const notAfterMs = this.credentials?.identity.notAfterMs;
    // A clock that is no number counts as late.
    return notAfterMs !== undefined && !(this.wallNow() <= notAfterMs);
  }

  /**
   * Options for `tls.connect` to an endpoint of a service, in any datacenter when `peer` is a
   * string; undefined without an identity that is still valid.
   */
  clientOptions(peer: PeerName | string): ConnectionOptions | undefined {
    if (this.credentials === undefined || this.isExpired) return undefined;
    const { identity, context } = this.credentials;
    const trust = (): PeerTrust => this.credentials!.trust;
    const own: ClientCredentials = {
      identity,
      context,
      // A root may go while the handshake is under way.
      get trust() {
        return trust();
      },
    };
    return clientConnectOptions(own, peer, this.wallNow);
  }

  /** Why a handshake failed, by either side's certificate; undefined when it was about neither. */
  handshakeFailure(
    error: (Error & { readonly code?: string }) | undefined,
    socket: TLSSocket | undefined,
  ): PeerRejection | 'no-identity' | undefined {
    if (this.credentials === undefined) return 'no-identity';
    return handshakeFailure(error, socket);
  }

  /** Called after each rotation, when servers have it too. */
  subscribe(listener: (change: Rotated) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /**
   * Called when our certificate expires without a new one: open connections were made with it. Once for each time: a clock that is set
   * back makes it valid again.
   */
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

  /** Looks on after the end too: the clock may be set back. */
  private watchExpiry(): void {
    this.expiry?.cancel();
    this.expiry = undefined;
    const identity = this.credentials?.identity;
    if (identity === undefined || this.timers === undefined) return;
    const leftMs = identity.notAfterMs - this.wallNow() + 1;
    const delayMs = this.isEndTold ? EXPIRY_CHECK_MS : Math.min(Math.max(leftMs, 0), EXPIRY_CHECK_MS);
    const check = (): void => {
      const { isExpired } = this;
      const isNews = isExpired && !this.isEndTold;
      this.isEndTold = isExpired;
      this.watchExpiry();
      if (isNews) for (const listener of [...this.expiryListeners]) listener(identity);
    };
    this.expiry = this.timers.after(delayMs, check, { unref: true });
  }

  private rotate(identity: Identity): void {
    const before = this.credentials;
    let next: ClientCredentials;
    try {
      next = clientCredentials(identity);
      const options = serverTlsOptions(identity);
      for (const server of this.servers) server.setSecureContext(options);
    } catch (error) {
      this.lastProblem = messageOf(error);
      return;
    }
    this.credentials = next;
    this.isEndTold = false;
    this.lastProblem = undefined;
    this.watchExpiry();
    if (before) this.count++;
    const rootsChanged = before === undefined || !hasSameRoots(before.identity, identity);
    const change = { identity, trust: next.trust, rootsChanged };
    for (const listener of [...this.listeners]) listener(change);
  }
}
