/**
 * Certificates of every kind, right and wrong, for the tests. Built with the product's own builder, which checks
 * nothing; what each kind must lead to is said in test/kit/identity/leaf-kinds.ts.
 */

import {
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

type Spec = Parameters<typeof issueCertificate>[0];

type CommonOptions = Partial<
  Pick<Spec, 'ca' | 'usages' | 'uris' | 'notBeforeMs' | 'notAfterMs' | 'extra'>
> & {
  /** Default: a new pair. */
  readonly keys?: KeyPair;
};

/** `uris`: in place of the id made from service and trust domain. */
export interface LeafOptions extends CommonOptions {
  readonly service?: string;
  readonly trustDomain?: string;
  readonly dnsNames?: readonly string[];
  /** `'absent'`: no such extension. Default both. */
  readonly extendedUsages?: NonNullable<Spec['extendedUsages']> | 'absent';
  /** The issuer it names, in place of the one that signs it. */
  readonly issuerCommonName?: string;
  /** Signs in place of the issuer it names. */
  readonly forger?: KeyPair;
}

/** `uris`: default the id of the trust domain, as on Consul's. */
export interface AuthorityOptions extends CommonOptions {
  readonly commonName?: string;
  readonly pathLength?: number;
}

export interface TestLeaf extends IdentityParts {
  readonly leafDer: Buffer;
  /** Intermediates between the leaf and the root. */
  readonly chainDer: readonly Buffer[];
  readonly notAfterMs: number;
}

const LEAF_USAGES: Spec['usages'] = ['digitalSignature'];
const CA_USAGES: Spec['usages'] = ['keyCertSign', 'cRLSign', 'digitalSignature'];

/** A root, or an intermediate under one, that issues whatever it is asked for. */
export class TestAuthority {
  private constructor(
    readonly commonName: string,
    readonly der: Buffer,
    readonly pem: string,
    readonly keys: KeyPair,
    private readonly parent: TestAuthority | undefined,
  ) {}

  static root(options: AuthorityOptions = {}): Promise<TestAuthority> {
    return TestAuthority.mint({ commonName: 'Test root', ...options }, undefined);
  }

  /** An intermediate that this authority signs. */
  intermediate(options: AuthorityOptions = {}): Promise<TestAuthority> {
    return TestAuthority.mint({ commonName: 'Test intermediate', ...options }, this);
  }

  get rootPem(): string {
    return this.parent ? this.parent.rootPem : this.pem;
  }

  async leaf(asked: LeafOptions = {}): Promise<TestLeaf> {
    const options = { ...asked, ...validity(asked) };
    const keys = options.keys ?? (await newKeys());
    const minted = await mintLeaf(options, keys, this);
    const above = this.intermediates();
    return {
      ...minted,
      certChainPem: [minted.certChainPem, ...above.map((authority) => authority.pem)].join(''),
      rootsPem: this.rootPem,
      chainDer: above.map((authority) => authority.der),
    };
  }

  /** A leaf that passes every check, as the product's sources hand it out. */
  async identity(service: string): Promise<Identity> {
    return identityOf(await this.leaf({ service }), service);
  }

  private intermediates(): TestAuthority[] {
    return this.parent ? [this, ...this.parent.intermediates()] : [];
  }

  private static async mint(
    options: AuthorityOptions & { readonly commonName: string },
    parent: TestAuthority | undefined,
  ): Promise<TestAuthority> {
    const { commonName, keys = await newKeys() } = options;
    const signer = parent ?? { commonName, keys };
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
export async function selfSignedLeaf(): Promise<TestLeaf> {
  const keys = await newKeys();
  const minted = await mintLeaf(validity({}), keys, { commonName: 'web', keys });
  return { ...minted, rootsPem: minted.certChainPem, chainDer: [] };
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
    notAfterMs: Math.floor((options.notAfterMs ?? Date.now() + HOUR_MS) / 1000) * 1000,
  };
}

const newKeys = (): Promise<KeyPair> => generateKeyPair({ extractable: true });

/** The parts of a leaf that do not depend on what stands above its issuer. */
async function mintLeaf(
  options: LeafOptions & ReturnType<typeof validity>,
  keys: KeyPair,
  issuer: { readonly commonName: string; readonly keys: KeyPair },
): Promise<Omit<TestLeaf, 'rootsPem' | 'chainDer'>> {
  const service = options.service ?? 'web';
  const extendedUsages = options.extendedUsages ?? ['clientAuth', 'serverAuth'];
  const { notBeforeMs, notAfterMs } = options;
  const { der, pem } = await issueCertificate({
    commonName: service,
    issuerCommonName: options.issuerCommonName ?? issuer.commonName,
    publicKey: keys.publicKey,
    signingKey: (options.forger ?? issuer.keys).privateKey,
    issuerPublicKey: issuer.keys.publicKey,
    notBeforeMs,
    notAfterMs,
    uris: options.uris ?? [spiffeUri(service, options.trustDomain)],
    dnsNames: options.dnsNames ?? [],
    ca: options.ca ?? false,
    usages: options.usages ?? LEAF_USAGES,
    ...(extendedUsages === 'absent' ? {} : { extendedUsages }),
    extra: options.extra ?? [],
  });
  return { certChainPem: pem, keyPem: await privateKeyToPem(keys.privateKey), leafDer: der, notAfterMs };
}

/** Trust in these roots for the test trust domain. */
export function trustIn(...roots: readonly TestAuthority[]): PeerTrust {
  const trust = createPeerTrust(TRUST_DOMAIN, roots.map((root) => root.pem).join(''));
  if (isProblem(trust)) throw new Error(trust.problem);
  return trust;
}
