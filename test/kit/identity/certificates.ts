/**
 * Certificates of every kind, right and wrong, for the tests. Built with the product's own builder, which checks
 * nothing; what each kind must lead to is said in test/kit/identity/leaf-kinds.ts.
 */

import {
  type CaKey,
  generateKeyPair,
  issueCertificate,
  type KeyPair,
  privateKeyToPem,
} from '../../../sidecar/identity/ca/certificate-builder.js';
import type { Identity, IdentityParts } from '../../../sidecar/identity/identity.js';
import { assembleIdentity } from '../../../sidecar/identity/sources/assemble-identity.js';
import { formatSpiffeId, isProblem, trustDomainUri } from '../../../sidecar/identity/spiffe.js';
import { createPeerTrust, type PeerTrust } from '../../../sidecar/identity/tls/peer-verification.js';

export const TRUST_DOMAIN = '11111111-2222-3333-4444-555555555555.consul';
export const DATACENTER = 'dc1';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

type Usages = Parameters<typeof issueCertificate>[0]['usages'];
type ExtendedUsages = NonNullable<Parameters<typeof issueCertificate>[0]['extendedUsages']>;
type Extra = NonNullable<Parameters<typeof issueCertificate>[0]['extra']>;

export interface LeafOptions {
  readonly service?: string;
  readonly trustDomain?: string;
  /** In place of the id made from service and trust domain. */
  readonly uris?: readonly string[];
  readonly dnsNames?: readonly string[];
  readonly ca?: boolean;
  readonly usages?: Usages;
  /** `'absent'`: no such extension. Default both. */
  readonly extendedUsages?: ExtendedUsages | 'absent';
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
  readonly extra?: Extra;
  /** Default: a new pair. */
  readonly keys?: KeyPair;
  /** The issuer it names, in place of the one that signs it. */
  readonly issuerCommonName?: string;
  /** Signs in place of the issuer it names. */
  readonly forger?: KeyPair;
}

export interface AuthorityOptions {
  readonly commonName?: string;
  readonly ca?: boolean;
  readonly pathLength?: number;
  readonly usages?: Usages;
  /** Default: the id of the trust domain, as on Consul's. */
  readonly uris?: readonly string[];
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
  readonly extra?: Extra;
  /** Default: a new pair. */
  readonly keys?: KeyPair;
}

export interface TestLeaf extends IdentityParts {
  readonly leafDer: Buffer;
  /** Intermediates between the leaf and the root. */
  readonly chainDer: readonly Buffer[];
  readonly notAfterMs: number;
}

export const LEAF_USAGES: Usages = ['digitalSignature'];
export const CA_USAGES: Usages = ['keyCertSign', 'cRLSign', 'digitalSignature'];

/** A root, or an intermediate under one, that issues whatever it is asked for. */
export class TestAuthority {
  private constructor(
    readonly commonName: string,
    readonly der: Buffer,
    readonly pem: string,
    private readonly keys: KeyPair,
    private readonly parent: TestAuthority | undefined,
  ) {}

  static async root(options: AuthorityOptions = {}): Promise<TestAuthority> {
    const keys = options.keys ?? (await generateKeyPair({ extractable: true }));
    const commonName = options.commonName ?? 'Test root';
    return TestAuthority.mint(commonName, keys, options, undefined);
  }

  /** An intermediate that this authority signs. */
  async intermediate(options: AuthorityOptions = {}): Promise<TestAuthority> {
    const keys = options.keys ?? (await generateKeyPair({ extractable: true }));
    return TestAuthority.mint(options.commonName ?? 'Test intermediate', keys, options, this);
  }

  get rootPem(): string {
    return this.parent ? this.parent.rootPem : this.pem;
  }

  get rootDer(): Buffer {
    return this.parent ? this.parent.rootDer : this.der;
  }

  async leaf(asked: LeafOptions = {}): Promise<TestLeaf> {
    const options = { ...asked, ...validity(asked) };
    const keys = options.keys ?? (await generateKeyPair({ extractable: true }));
    const issuerKey = {
      commonName: this.commonName,
      publicKey: this.keys.publicKey,
      signingKey: this.keys.privateKey,
    };
    const minted = await mintLeaf(options, keys, issuerKey);
    const above = this.intermediates();
    return {
      certChainPem: [minted.pem, ...above.map((authority) => authority.pem)].join(''),
      keyPem: await privateKeyToPem(keys.privateKey),
      rootsPem: this.rootPem,
      leafDer: minted.der,
      chainDer: above.map((authority) => authority.der),
      notAfterMs: options.notAfterMs,
    };
  }

  /** A leaf that passes every check, as the product's sources hand it out. */
  async identity(service: string, options: LeafOptions = {}): Promise<Identity> {
    return identityOf(await this.leaf({ service, ...options }), service);
  }

  private intermediates(): TestAuthority[] {
    return this.parent ? [this, ...this.parent.intermediates()] : [];
  }

  private static async mint(
    commonName: string,
    keys: KeyPair,
    options: AuthorityOptions,
    parent: TestAuthority | undefined,
  ): Promise<TestAuthority> {
    const signer: { readonly commonName: string; readonly keys: KeyPair } = parent
      ? { commonName: parent.commonName, keys: parent.keys }
      : { commonName, keys };
    const minted = await issueCertificate({
      commonName,
      issuerCommonName: signer.commonName,
      publicKey: keys.publicKey,
      signingKey: signer.keys.privateKey,
      issuerPublicKey: signer.keys.publicKey,
      notBeforeMs: options.notBeforeMs ?? Date.now() - 30 * DAY_MS,
      notAfterMs: options.notAfterMs ?? Date.now() + 365 * DAY_MS,
      uris: options.uris ?? [trustDomainUri(TRUST_DOMAIN)],
      ca: options.ca ?? true,
      ...(options.pathLength === undefined ? {} : { pathLength: options.pathLength }),
      usages: options.usages ?? CA_USAGES,
      extra: options.extra ?? [],
    });
    return new TestAuthority(commonName, minted.der, minted.pem, keys, parent);
  }
}

/** A leaf that only vouches for itself; `rootsPem` is the leaf. */
export async function selfSignedLeaf(asked: LeafOptions = {}): Promise<TestLeaf> {
  const options = { ...asked, ...validity(asked) };
  const keys = await generateKeyPair({ extractable: true });
  const own = {
    commonName: options.service ?? 'web',
    publicKey: keys.publicKey,
    signingKey: keys.privateKey,
  };
  const minted = await mintLeaf(options, keys, own);
  return {
    certChainPem: minted.pem,
    keyPem: await privateKeyToPem(keys.privateKey),
    rootsPem: minted.pem,
    leafDer: minted.der,
    chainDer: [],
    notAfterMs: options.notAfterMs,
  };
}

/** Checks the parts as the product does. Throws when they are not an identity. */
export function identityOf(parts: IdentityParts, service: string): Identity {
  const identity = assembleIdentity(parts, { trustDomain: TRUST_DOMAIN, service }, Date.now());
  if (isProblem(identity)) throw new Error(identity.problem);
  return identity;
}

export function spiffeUri(service: string, trustDomain = TRUST_DOMAIN): string {
  return formatSpiffeId({ trustDomain, datacenter: DATACENTER, service });
}

/** Asked once for each leaf: the clock goes on between minting it and telling of it. */
function validity(options: LeafOptions): { notBeforeMs: number; notAfterMs: number } {
  return {
    notBeforeMs: options.notBeforeMs ?? Date.now() - HOUR_MS,
    notAfterMs: wholeSeconds(options.notAfterMs ?? Date.now() + HOUR_MS),
  };
}

function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}

async function mintLeaf(
  options: LeafOptions & ReturnType<typeof validity>,
  keys: KeyPair,
  issuer: { commonName: string; publicKey: CaKey; signingKey: CaKey },
) {
  const service = options.service ?? 'web';
  const extendedUsages = options.extendedUsages ?? ['clientAuth', 'serverAuth'];
  return issueCertificate({
    commonName: service,
    issuerCommonName: options.issuerCommonName ?? issuer.commonName,
    publicKey: keys.publicKey,
    signingKey: options.forger?.privateKey ?? issuer.signingKey,
    issuerPublicKey: issuer.publicKey,
    notBeforeMs: options.notBeforeMs,
    notAfterMs: options.notAfterMs,
    uris: options.uris ?? [spiffeUri(service, options.trustDomain)],
    dnsNames: options.dnsNames ?? [],
    ca: options.ca ?? false,
    usages: options.usages ?? LEAF_USAGES,
    ...(extendedUsages === 'absent' ? {} : { extendedUsages }),
    extra: options.extra ?? [],
  });
}

/** Trust in these roots for the test trust domain. */
export function trustIn(...roots: readonly TestAuthority[]): PeerTrust {
  const trust = createPeerTrust(TRUST_DOMAIN, roots.map((root) => root.pem).join(''));
  if (isProblem(trust)) throw new Error(trust.problem);
  return trust;
}
