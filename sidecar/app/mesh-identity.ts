import type { Socket } from 'node:net';
import type { Peer } from '../cluster/endpoint.js';
import type { Address } from '../config/model.js';
import type { Identity } from '../identity/identity.js';
import type { ListenerOptions } from '../transport/listener.js';
import type { Session } from '../transport/session.js';

/** The part of a listener that proves who its peers are. */
export type ListenerSecurity = Pick<ListenerOptions, 'tls' | 'admit'>;

/**
 * The identity of a sidecar in the mesh, as its sides use it: connections that present it, a listener that verifies its
 * peers, and what follows from rotation and expiry.
 */
export interface MeshIdentity {
  /** Called after each rotation; `rootsChanged`: peers that were accepted before have to be verified again. */
  onRotated(listener: (change: { identity: Identity; rootsChanged: boolean }) => void): void;
  /** Called when our certificate has expired and no new one has come. */
  onExpiry(listener: () => void): void;
  /** Connects to `peer`; undefined while there is no valid certificate to present. */
  dial(address: Address, peer: Peer): Socket | undefined;
  /** Why `dial` returns undefined, for people. */
  whyNoDial(): string;
  /** Of the inbound listener. `alsoPlaintext`: connections without an identity are accepted too. */
  security(options: { readonly alsoPlaintext: boolean }): ListenerSecurity;
  /**
   * Whether the peer of a connection would be accepted with the roots of now. Plaintext connections always are.
   *
   * @param peer of a connection that this sidecar has made: who it has to be.
   */
  stillTrusts(session: Session, peer?: Peer): boolean;
  /** Why there is no identity, or that the one in use has expired, in one line; undefined when all is well. */
  readonly problem: string | undefined;
  /** That the one in use ends soon, in one line. It still works: this is no reason against readiness. */
  readonly warning: string | undefined;
  /** Why the newest identity is not used, or none can be asked for, in one line; undefined when all is well. */
  readonly failure: string | undefined;
  /** The identity of now, with its key; undefined until the first one has come. */
  readonly current: Identity | undefined;
  /** Rotations since the start. */
  readonly rotations: number;
  /** Seconds until the certificate expires; undefined while there is none. */
  readonly secondsLeft: number | undefined;
  /** From the first to the last second of the certificate; undefined while there is none. */
  readonly lifetimeSeconds: number | undefined;
  close(): void;
}
