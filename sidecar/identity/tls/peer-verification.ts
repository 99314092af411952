/**
 * Who is at the other end: the verdict on a peer's certificate. Every rule for X.509-SVIDs and Consul's ids
 * stands here, because Node's TLS layer checks none of them, and nothing at all on a resumed session. Both
 * roles call this on every handshake; which calls the peer may make is decided elsewhere, per call.
 */

import type { DetailedPeerCertificate, TLSSocket } from 'node:tls';
import { type IdentityProblem, isProblem, parseSpiffeId, type SpiffeId } from '../spiffe.js';
import { type CertificateFacts, ExtendedKeyUsage, KeyUsage } from '../x509/certificate.js';
import {
  findPath,
  isoTime,
  MAX_CHAIN_CERTIFICATES,
  type ParsedCertificate,
  parseCertificate,
  parseRoots,
} from '../x509/chain.js';
import { certificatesFromPem } from '../x509/pem.js';

/** Stable short names, for metrics and logs. */
export type PeerRejection =
  | 'no-certificate'
  | 'malformed'
  | 'critical-extension'
  | 'signing-certificate'
  | 'key-usage'
  | 'no-uri'
  | 'several-uris'
  | 'bad-spiffe-id'
  | 'wrong-trust-domain'
  | 'wrong-namespace'
  | 'clock-not-yet-valid'
  | 'clock-expired'
  | 'untrusted'
  | 'chain-too-long'
  | 'wrong-service'
  | 'wrong-datacenter'
  | 'wrong-protocol';

export type PeerVerification =
  | { readonly kind: 'accepted'; readonly id: SpiffeId; readonly notAfterMs: number }
  | { readonly kind: 'rejected'; readonly reason: PeerRejection; readonly detail: string };

export interface PeerChain {
  readonly leafDer: Uint8Array;
  /** What the peer sent above its leaf, in any order. */
  readonly chainDer: readonly Uint8Array[];
}

/** Whom a caller means to reach. A datacenter that is not named may be any. */
export interface ExpectedPeer {
  readonly service: string;
  readonly datacenter?: string;
}

/** Whom we believe. Made once per set of roots: parsing is not free. */
export interface PeerTrust {
  readonly trustDomain: string;
  readonly roots: readonly ParsedCertificate[];
}

export function createPeerTrust(trustDomain: string, rootsPem: string): PeerTrust | IdentityProblem {
  const roots = parseRoots(trustDomain, certificatesFromPem(rootsPem));
  return isProblem(roots) ? roots : { trustDomain: trustDomain.toLowerCase(), roots };
}

/**
 * Judges a chain. `expected`, when given, is whom the peer must be (client role), a service alone as a string. Never
 * throws.
 * Namespaces and partitions other than `default` are refused: intentions here name services only.
 */
export function verifyPeer(
  chain: PeerChain,
  trust: PeerTrust,
  wallNowMs: number,
  expected?: ExpectedPeer | string,
): PeerVerification {
  const leaf = parseCertificate(chain.leafDer);
  if (isProblem(leaf)) return reject('malformed', `the certificate cannot be read: ${leaf.problem}`);
  const purpose = checkPurpose(leaf.facts);
  if (purpose) return purpose;
  const id = checkId(leaf.facts, trust.trustDomain);
  if ('kind' in id) return id;
  const validity = checkValidity(leaf.facts, wallNowMs);
  if (validity) return validity;
  const path = checkPath(leaf, chain.chainDer, trust, wallNowMs);
  if (path) return path;
  const other = expected === undefined ? undefined : checkExpected(id, expected);
  if (other) return other;
  return { kind: 'accepted', id, notAfterMs: leaf.facts.notAfterMs };
}

function checkExpected(id: SpiffeId, expected: ExpectedPeer | string): PeerVerification | undefined {
  const { service, datacenter } =
    typeof expected === 'string' ? { service: expected, datacenter: undefined } : expected;
  if (id.service !== service) {
    return reject('wrong-service', `expected the service ${quote(service)}, found ${id.uri}`);
  }
  if (datacenter !== undefined && id.datacenter !== datacenter) {
    return reject('wrong-datacenter', `expected the datacenter ${quote(datacenter)}, found ${id.uri}`);
  }
  return undefined;
}

/**
 * Judges the peer of a connected TLS socket, resumed sessions included, and the protocol it agreed on: `h2`, or
 * none at all (proxies that relay TCP offer none). Never throws.
 */
export function verifyPeerSocket(
  socket: TLSSocket,
  trust: PeerTrust,
  wallNowMs: number,
  expected?: ExpectedPeer | string,
): PeerVerification {
  const alpn = socket.alpnProtocol;
  if (typeof alpn === 'string' && alpn !== 'h2') {
    return reject('wrong-protocol', `agreed on the protocol ${quote(alpn)}, not h2`);
  }
  const chain = peerChain(socket);
  if (!chain) return reject('no-certificate', 'the peer presented no certificate');
  return verifyPeer(chain, trust, wallNowMs, expected);
}

function peerChain(socket: TLSSocket): PeerChain | undefined {
  try {
    // Not getPeerX509Certificate: on a client it takes the leaf out of the session, and the next caller gets
    // its issuer, or nothing.
    return chainOf(socket.getPeerCertificate(true));
  } catch {
    return undefined;
  }
}

/** What Node's older form of a certificate holds; undefined for the empty object it gives when there is none. */
export function chainOf(certificate: Partial<DetailedPeerCertificate> | undefined): PeerChain | undefined {
  const leafDer = certificate?.raw;
  if (!leafDer) return undefined;
  const chainDer: Uint8Array[] = [];
  let at = certificate;
  // A self-signed certificate is its own issuer here.
  while (at.issuerCertificate && at.issuerCertificate !== at && chainDer.length <= MAX_CHAIN_CERTIFICATES) {
    at = at.issuerCertificate;
    if (at.raw) chainDer.push(at.raw);
  }
  return { leafDer, chainDer };
}

/** May this certificate stand for a workload at all? X509-SVID sections 4.1 to 4.4. */
function checkPurpose(facts: CertificateFacts): PeerVerification | undefined {
  if (facts.unknownCritical.length > 0) {
    return reject('critical-extension', `unknown critical extension ${facts.unknownCritical[0]}`);
  }
  if (facts.isCa) return reject('signing-certificate', 'a CA certificate cannot identify a service');
  const usage = facts.keyUsage ?? 0;
  if (usage & (KeyUsage.keyCertSign | KeyUsage.crlSign)) {
    return reject('signing-certificate', 'its key may sign certificates or revocation lists');
  }
  if (!(usage & KeyUsage.digitalSignature))
    return reject('key-usage', 'digitalSignature is not among its key usages');
  const extended = facts.extendedKeyUsages;
  if (extended) {
    for (const need of ['clientAuth', 'serverAuth'] as const) {
      if (!extended.includes(ExtendedKeyUsage[need])) {
        return reject('key-usage', `${need} is not among its extended key usages`);
      }
    }
  }
  return undefined;
}

function checkId(
  facts: CertificateFacts,
  trustDomain: string,
): SpiffeId | Extract<PeerVerification, { kind: 'rejected' }> {
  if (facts.uris.length === 0) return reject('no-uri', 'it has no URI name');
  if (facts.uris.length > 1)
    return reject('several-uris', `it has ${facts.uris.length} URI names, exactly one is allowed`);
  const uri = facts.uris[0]!;
  const id = parseSpiffeId(uri);
  if (isProblem(id)) return reject('bad-spiffe-id', `${quote(uri)}: ${id.problem}`);
  if (id.trustDomain !== trustDomain.toLowerCase()) {
    return reject('wrong-trust-domain', `${quote(uri)} is not of the trust domain ${trustDomain}`);
  }
  if (id.namespace !== 'default' || id.partition !== 'default') {
    return reject('wrong-namespace', `${quote(uri)} is not of the default namespace and partition`);
  }
  return id;
}

function checkValidity(facts: CertificateFacts, wallNowMs: number): PeerVerification | undefined {
  if (wallNowMs < facts.notBeforeMs) {
    return reject(
      'clock-not-yet-valid',
      `valid from ${isoTime(facts.notBeforeMs)}, ${clockRemark(wallNowMs)}`,
    );
  }
  // Written so that a clock that is no number convicts.
  if (!(wallNowMs <= facts.notAfterMs)) {
    return reject('clock-expired', `valid until ${isoTime(facts.notAfterMs)}, ${clockRemark(wallNowMs)}`);
  }
  return undefined;
}

function checkPath(
  leaf: ParsedCertificate,
  chainDer: readonly Uint8Array[],
  trust: PeerTrust,
  wallNowMs: number,
): PeerVerification | undefined {
  if (chainDer.length > MAX_CHAIN_CERTIFICATES) {
    return reject('chain-too-long', `more than ${MAX_CHAIN_CERTIFICATES} certificates above the leaf`);
  }
  // An unreadable certificate in the chain is no reason to refuse a leaf that another path vouches for.
  const intermediates = chainDer
    .map(parseCertificate)
    .filter((parsed): parsed is ParsedCertificate => !isProblem(parsed));
  const path = findPath(leaf, { intermediates, roots: trust.roots }, trust.trustDomain, wallNowMs);
  switch (path.kind) {
    case 'trusted':
      return undefined;
    case 'untrusted':
      return reject('untrusted', path.detail);
    case 'issuer-expired':
      return reject('clock-expired', `${path.detail}, ${clockRemark(wallNowMs)}`);
    case 'issuer-not-yet-valid':
      return reject('clock-not-yet-valid', `${path.detail}, ${clockRemark(wallNowMs)}`);
  }
}

function clockRemark(wallNowMs: number): string {
  return `the clock here says ${isoTime(wallNowMs)}: renew the certificate, or set the clock that is wrong`;
}

/** Text from a peer, made fit for one line of a log. */
function quote(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);
}

function reject(reason: PeerRejection, detail: string): Extract<PeerVerification, { kind: 'rejected' }> {
  return { kind: 'rejected', reason, detail };
}
