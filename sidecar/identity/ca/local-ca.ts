import type { IdentityParts } from '../identity.js';
import { formatSpiffeId, trustDomainUri } from '../spiffe.js';
import {
  type CaKey,
  generateKeyPair,
  issueCertificate,
  type KeyPair,
  privateKeyToPem,
} from './certificate-builder.js';

export interface LocalCaOptions {
  readonly trustDomain: string;
  readonly datacenter: string;
  /** Wall clock, epoch ms. */
  readonly wallNow: () => number;
  /** Default 10 years; the key of the root lives only in this process. */
  readonly rootLifetimeMs?: number;
}

/** Certificates begin this much in the past, for peers whose clock is behind, as Consul's do. */
export const BACKDATE_MS = 60_000;
const ROOT_LIFETIME_MS = 10 * 365 * 24 * 3_600_000;
/** Default validity of a leaf. */
export const LEAF_LIFETIME_MS = 3_600_000;
/**
 * Short-lived leaves are backdated by this share of their validity at most: they would count as due
 * for renewal.
 */
const BACKDATE_RATIO = 0.25;

interface Root {
  readonly commonName: string;
  readonly keys: KeyPair;
  readonly pem: string;
}

/** A leaf with its key and the roots at the time of issue. */
export interface IssuedLeaf extends IdentityParts {
  readonly notAfterMs: number;
}

/**
 * The certificate authority of a mesh on one machine. Its key lives in memory and ends with the
 * process; leaves are short-lived, so none is ever revoked.
 *
 * A root is replaced in three steps, so that every sidecar trusts what any other presents at each
 * moment: `prepareRoot` (until all have the new roots), `activateRoot` (until all have new leaves),
 * `retireRoots`.
 */
export class LocalCa {
  private prepared: Root | undefined;
  private retiring: readonly Root[] = [];
  private made = 1;

  private constructor(
    private readonly options: LocalCaOptions,
    private active: Root,
  ) {}

  static async create(options: LocalCaOptions): Promise<LocalCa> {
    return new LocalCa(options, await makeRoot(options, 1));
  }

  /** PEM of every root to trust now, the signing one first. */
  get rootsPem(): string {
    const roots = [this.active, ...(this.prepared ? [this.prepared] : []), ...this.retiring];
    return roots.map((root) => root.pem).join('');
  }

  /** A new key and leaf for a service, with the roots of this moment. `lifetimeMs`: default 1 h. */
  async issueLeaf(service: string, lifetimeMs: number = LEAF_LIFETIME_MS): Promise<IssuedLeaf> {
    const { trustDomain, datacenter, wallNow } = this.options;
    const signer = this.active;
    const keys = await generateKeyPair({ extractable: true });
    // Certificates count in seconds.
    const now = Math.floor(wallNow() / 1000) * 1000;
    const notAfterMs = now + Math.ceil(lifetimeMs / 1000) * 1000;
    const leaf = await issueCertificate({
      commonName: service,
      issuerCommonName: signer.commonName,
      publicKey: keys.publicKey,
      signingKey: signer.keys.privateKey,
      issuerPublicKey: signer.keys.publicKey,
      notBeforeMs: now - Math.min(BACKDATE_MS, Math.max(1000, lifetimeMs * BACKDATE_RATIO)),
      notAfterMs,
      uris: [formatSpiffeId({ trustDomain, datacenter, service })],
      ca: false,
      usages: ['digitalSignature'],
      extendedUsages: ['clientAuth', 'serverAuth'],
    });
    const keyPem = await privateKeyToPem(keys.privateKey);
    return { certChainPem: leaf.pem, keyPem, rootsPem: this.rootsPem, notAfterMs };
  }

  /**
   * Step 1: a new root that is trusted but does not sign yet. Does nothing when one is prepared
   * already.
   */
  async prepareRoot(): Promise<void> {
    if (this.prepared) return;
    this.made++;
    this.prepared = await makeRoot(this.options, this.made);
  }

  /** Step 2: the prepared root signs from now on; the old one is still trusted. */
  activateRoot(): void {
    if (!this.prepared) throw new Error('no root is prepared');
    this.retiring = [this.active, ...this.retiring];
    this.active = this.prepared;
    this.prepared = undefined;
  }

  /** Step 3: only the signing root (and a prepared one) is trusted from now on. */
  retireRoots(): void {
    this.retiring = [];
  }
}

async function makeRoot(options: LocalCaOptions, ordinal: number): Promise<Root> {
  const keys = await generateKeyPair({ extractable: false });
  const commonName = `Outrider local CA root ${ordinal}`;
  const now = Math.floor(options.wallNow() / 1000) * 1000;
  const publicKey: CaKey = keys.publicKey;
  const { pem } = await issueCertificate({
    commonName,
    issuerCommonName: commonName,
    publicKey,
    signingKey: keys.privateKey,
    issuerPublicKey: publicKey,
    notBeforeMs: now - BACKDATE_MS,
    notAfterMs: now + (options.rootLifetimeMs ?? ROOT_LIFETIME_MS),
    uris: [trustDomainUri(options.trustDomain)],
    ca: true,
    usages: ['digitalSignature', 'keyCertSign', 'cRLSign'],
  });
  return { commonName, keys, pem };
}
