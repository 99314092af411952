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
  /** Default 100 years; the key of the root lives only in this process. */
  readonly rootLifetimeMs?: number;
}

/** Certificates begin this much in the past, for peers whose clock is behind, as Consul's do. */
const BACKDATE_MS = 60_000;
const ROOT_NAME = 'Outrider local CA root 1';
const YEAR_MS = 365 * 24 * 3_600_000;
const ROOT_LIFETIME_MS = 100 * YEAR_MS;
/**
 * A machine without a battery for its clock begins in 1970, or at the time at which its image was made, and one whose clock was wrong is set
 * back: the root cannot be replaced while the mesh runs, and has to be valid before and after.
 */
const ROOT_BACKDATE_MS = 50 * YEAR_MS;
/** Default validity of a leaf. */
export const LEAF_LIFETIME_MS = 3_600_000;
/**
 * Short-lived leaves are backdated by this share of their validity at most: they would count as due
 * for renewal.
 */
const BACKDATE_RATIO = 0.25;

interface Root {
  readonly keys: KeyPair;
  readonly pem: string;
}

/** A leaf with its key and the root. */
export interface IssuedLeaf extends IdentityParts {
  readonly notAfterMs: number;
}

/**
 * The certificate authority of a mesh on one machine. Its key lives in memory and ends with the
 * process; leaves are short-lived, so none is ever revoked.
 */
export class LocalCa {
  private constructor(
    private readonly options: LocalCaOptions,
    private readonly root: Root,
  ) {}

  static async create(options: LocalCaOptions): Promise<LocalCa> {
    return new LocalCa(options, await makeRoot(options));
  }

  get rootsPem(): string {
    return this.root.pem;
  }

  /** A new key and leaf for a service, with the root. `lifetimeMs`: default 1 h. */
  async issueLeaf(service: string, lifetimeMs: number = LEAF_LIFETIME_MS): Promise<IssuedLeaf> {
    const { trustDomain, datacenter, wallNow } = this.options;
    const keys = await generateKeyPair({ extractable: true });
    // Certificates count in seconds.
    const now = Math.floor(wallNow() / 1000) * 1000;
    const notAfterMs = now + Math.ceil(lifetimeMs / 1000) * 1000;
    const leaf = await issueCertificate({
      commonName: service,
      issuerCommonName: ROOT_NAME,
      publicKey: keys.publicKey,
      signingKey: this.root.keys.privateKey,
      issuerPublicKey: this.root.keys.publicKey,
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
}

async function makeRoot(options: LocalCaOptions): Promise<Root> {
  const keys = await generateKeyPair({ extractable: false });
  const now = Math.floor(options.wallNow() / 1000) * 1000;
  const publicKey: CaKey = keys.publicKey;
  const { pem } = await issueCertificate({
    commonName: ROOT_NAME,
    issuerCommonName: ROOT_NAME,
    publicKey,
    signingKey: keys.privateKey,
    issuerPublicKey: publicKey,
    notBeforeMs: Math.max(0, now - ROOT_BACKDATE_MS),
    notAfterMs: now + (options.rootLifetimeMs ?? ROOT_LIFETIME_MS),
    uris: [trustDomainUri(options.trustDomain)],
    ca: true,
    usages: ['digitalSignature', 'keyCertSign', 'cRLSign'],
  });
  return { keys, pem };
}
