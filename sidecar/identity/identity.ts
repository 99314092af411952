import type { SpiffeId } from './spiffe.js';

/** A complete, checked set. Plain data; the key must never be logged. */
export interface Identity {
  readonly id: SpiffeId;
  /** Leaf first, then intermediates. */
  readonly certChainPem: string;
  readonly keyPem: string;
  readonly rootsPem: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Lower-case hex. */
  readonly serial: string;
}

export interface IdentitySource {
  /** Undefined until the first set has arrived. An expired set stays current: peers refuse it, and `status` says so. */
  current(): Identity | undefined;
  /** Called with each new set, not with the present one. Returns the way to stop. */
  subscribe(listener: (identity: Identity) => void): () => void;
  status(): IdentityStatus;
  close(): void;
}

export interface IdentityStatus {
  /** What is wrong now, in one line; absent when all is well. */
  readonly problem?: string;
  readonly notAfterMs?: number;
}

export interface IdentityParts {
  readonly certChainPem: string;
  readonly keyPem: string;
  readonly rootsPem: string;
}

/** Brings sets from the process that issues them, beside the files that hold them too, when they can be written. */
export interface IdentityFeed {
  /** The newest so far. */
  current(): IdentityParts | undefined;
  subscribe(listener: (parts: IdentityParts) => void): void;
}

export interface IdentityPaths {
  /** Leaf first, then intermediates. */
  readonly cert: string;
  readonly key: string;
  readonly roots: string;
}
