import type { MappedIds } from './mapped-ids.js';
import type { SpiffeId } from './spiffe.js';

/** An identity before it is checked: three PEM texts. The key must never be logged. */
export interface IdentityParts {
  /** Leaf first, then intermediates. */
  readonly certChainPem: string;
  readonly keyPem: string;
  readonly rootsPem: string;
  /** Roots of other trust domains in PEM, by name of the domain; absent: peers of others are refused. */
  readonly federatedPem?: FederatedRoots | undefined;
}

/** Roots in PEM by trust domain, in lower case. */
export type FederatedRoots = ReadonlyMap<string, string>;

/** A certificate with its key and roots, checked as a whole by `assembleIdentity`. */
export interface Identity extends IdentityParts {
  readonly id: SpiffeId;
  /** The services of ids that name none; absent: such ids are refused. */
  readonly ids?: MappedIds | undefined;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Serial number of the leaf, lower-case hex. */
  readonly serial: string;
}

/** Where the identity of a sidecar comes from: certificate files, a SPIRE agent, or Consul's agent. */
export interface IdentitySource {
  /**
   * Undefined until the first identity has arrived. An expired one stays current: peers refuse it,
   * and `status` reports it.
   */
  current(): Identity | undefined;
  /**
   * Calls `listener` with each new identity, not with the present one. Returns the function that
   * unsubscribes.
   */
  subscribe(listener: (identity: Identity) => void): () => void;
  status(): IdentityStatus;
  close(): void;
}

export interface IdentityStatus {
  /** Why there is no identity, or that the one in use has expired, in one line; absent when all is well. */
  readonly problem?: string;
  /** The one in use still works, but is in the last fifth of its life, in one line. */
  readonly warning?: string;
  /** Why the newest identity cannot be used, or none can be asked for, in one line. The one in use may be good for long. */
  readonly failure?: string;
  readonly notAfterMs?: number;
}

/**
 * Identities sent by the process that issues them (`up`): they arrive also when the disk is full.
 */
export interface IdentityFeed {
  /** The newest so far. */
  current(): IdentityParts | undefined;
  subscribe(listener: (parts: IdentityParts) => void): void;
}

/** All roots of an identity as one text: its own, then those of other trust domains. */
export function allRootsPem({ rootsPem, federatedPem }: IdentityParts): string {
  return federatedPem === undefined ? rootsPem : [rootsPem, ...federatedPem.values()].join('\n');
}

/** Whether two identities trust the same roots for the same trust domains. */
export function hasSameRoots(a: IdentityParts, b: IdentityParts): boolean {
  const others = ({ federatedPem }: IdentityParts) => JSON.stringify([...(federatedPem ?? [])].sort());
  return a.rootsPem === b.rootsPem && others(a) === others(b);
}

/** Paths of the three PEM files of an identity. */
export interface IdentityPaths {
  /** Leaf first, then intermediates. */
  readonly cert: string;
  readonly key: string;
  readonly roots: string;
}
