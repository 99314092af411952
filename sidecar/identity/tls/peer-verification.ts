import type { DetailedPeerCertificate, TLSSocket } from 'node:tls';
import { attempt } from '../../runtime/attempt.js';
import type { FederatedRoots } from '../identity.js';
import type { MappedIds } from '../mapped-ids.js';
import {
  type IdentityProblem,
  type IdParts,
  isProblem,
  parseSpiffeId,
  type SpiffeId,
  splitSpiffeUri,
} from '../spiffe.js';
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

/** Why a peer is rejected: stable names for metrics (`reason`) and logs. */
export type PeerRejection =
  | 'no-certificate'
  | 'malformed'
  | 'critical-extension'
  | 'signing-certificate'
  | 'key-usage'
  | 'no-uri'
  | 'several-uris'
  | 'bad-spiffe-id'
  | 'unmapped-id'
  | 'wrong-trust-domain'
  | 'wrong-namespace'
  | 'clock-not-yet-valid'
  | 'clock-expired'
  | 'untrusted'
  | 'chain-too-long'
  | 'wrong-service'
  | 'wrong-datacenter'
  | 'wrong-protocol';

/** Result of a verification; `detail` is for logs. */
export type PeerVerification =
  | { readonly kind: 'accepted'; readonly id: SpiffeId; readonly notAfterMs: number }
  | { readonly kind: 'rejected'; readonly reason: PeerRejection; readonly detail: string };

type Rejected = Extract<PeerVerification, { kind: 'rejected' }>;

/** The certificates of a peer in DER. */
export interface PeerChain {
  readonly leafDer: Uint8Array;
  /** Certificates that the peer sent with its leaf, in any order. */
  readonly chainDer: readonly Uint8Array[];
}

/** The service that a client connects to; without a datacenter, in any. */
export interface ExpectedPeer {
  readonly service: string;
  readonly datacenter?: string;
}

/** Trust domain and parsed roots. Made once for each set of roots, because parsing costs time. */
export interface PeerTrust extends AlsoTrusted {
  readonly trustDomain: string;
  readonly roots: readonly ParsedCertificate[];
  /** Roots of other trust domains, by their names. What they issue is a service only by `ids`. */
  readonly federated?: ReadonlyMap<string, readonly ParsedCertificate[]> | undefined;
}

interface AlsoTrusted {
  /** The services of ids that name none. Absent: such ids are refused. */
  readonly ids?: MappedIds | undefined;
}

/** Parses roots in PEM for a trust domain, and those of others. */
export function createPeerTrust(
  trustDomain: string,
  rootsPem: string,
  { ids, federatedPem }: AlsoTrusted & { readonly federatedPem?: FederatedRoots | undefined } = {},
): PeerTrust | IdentityProblem {
  const roots = parseRoots(trustDomain, certificatesFromPem(rootsPem));
  if (isProblem(roots)) return roots;
  const federated = new Map<string, readonly ParsedCertificate[]>();
  for (const [domain, pem] of federatedPem ?? []) {
    const theirs = parseRoots(domain, certificatesFromPem(pem));
    if (isProblem(theirs)) return { problem: `of ${domain}: ${theirs.problem}` };
    federated.set(domain, theirs);
  }
  return { trustDomain: trustDomain.toLowerCase(), roots, ids, federated };
}

/**
 * Verifies the certificate of a peer against every rule for X.509-SVIDs and Consul's ids: purpose,
 * SPIFFE id, validity, path to a root, expected service. Node's TLS layer checks none of the SPIFFE
 * rules. Namespaces and partitions other than `default` are rejected, because intentions name
 * services only. Authorization of calls is decided elsewhere. Never throws.
 *
 * @param expected (client role) the service, in any datacenter when it is a string.
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
  const id = checkId(leaf.facts, trust);
  if ('kind' in id) return id;
  const validity = checkValidity(leaf.facts, wallNowMs);
  if (validity) return validity;
  const path = checkPath(leaf, chain.chainDer, authorityOf(id, trust), wallNowMs);
  if (path) return path;
  const other = expected === undefined ? undefined : checkExpected(id, expected);
  if (other) return other;
  return { kind: 'accepted', id, notAfterMs: leaf.facts.notAfterMs };
}

/** The authority that may issue an id: that of its trust domain, and no other. */
function authorityOf({ trustDomain }: SpiffeId, trust: PeerTrust): Authority {
  if (trustDomain === trust.trustDomain.toLowerCase()) return trust;
  return { trustDomain, roots: trust.federated?.get(trustDomain) ?? [] };
}

type Authority = Pick<PeerTrust, 'trustDomain' | 'roots'>;

function checkExpected(id: SpiffeId, expected: ExpectedPeer | string): PeerVerification | undefined {
  const { service, datacenter } =
    typeof expected === 'string' ? { service: expected, datacenter: undefined } : expected;
  if (id.service !== service)
    return reject('wrong-service', `expected the service ${quote(service)}, found ${id.uri}`);
  // A mapped id is of no datacenter: the map is what says that it is this service.
  if (datacenter !== undefined && id.datacenter !== '' && id.datacenter !== datacenter)
    return reject('wrong-datacenter', `expected the datacenter ${quote(datacenter)}, found ${id.uri}`);
  return undefined;
}

/**
 * Verifies the peer of a connected TLS socket, resumed sessions included, and its ALPN protocol:
 * `h2`, or none (proxies that relay TCP offer none). Never throws.
 */
export function verifyPeerSocket(
  socket: TLSSocket,
  trust: PeerTrust,
  wallNowMs: number,
  expected?: ExpectedPeer | string,
): PeerVerification {
  const alpn = socket.alpnProtocol;
  if (typeof alpn === 'string' && alpn !== 'h2')
    return reject('wrong-protocol', `agreed on the protocol ${quote(alpn)}, not h2`);
  const chain = peerChain(socket);
  if (!chain) return reject('no-certificate', 'the peer presented no certificate');
  return verifyPeer(chain, trust, wallNowMs, expected);
}

/**
 * As `verifyPeerSocket`, at a time at which the certificate of the peer is valid: calls may go on after its end, and that says nothing of who
 * has issued it.
 */
export function stillTrustsPeerSocket(
  socket: TLSSocket,
  trust: PeerTrust,
  wallNowMs: number,
  expected?: ExpectedPeer | string,
): boolean {
  const chain = peerChain(socket);
  const leaf = chain && parseCertificate(chain.leafDer);
  if (leaf === undefined || isProblem(leaf)) return false;
  const { notBeforeMs, notAfterMs } = leaf.facts;
  const atMs = Math.min(notAfterMs, Math.max(notBeforeMs, wallNowMs));
  return verifyPeerSocket(socket, trust, atMs, expected).kind === 'accepted';
}

function peerChain(socket: TLSSocket): PeerChain | undefined {
  // Not getPeerX509Certificate: on a client it removes the leaf from the session, so that a second call fails.
  return attempt(() => chainOf(socket.getPeerCertificate(true)), undefined);
}

/**
 * The chain in Node's legacy certificate object; undefined for the empty object of a peer without a
 * certificate.
 */
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

/**
 * Whether the certificate may identify a workload, X509-SVID sections 4.1 to 4.4. Undefined: it
 * may.
 */
function checkPurpose(facts: CertificateFacts): PeerVerification | undefined {
  if (facts.unknownCritical.length > 0)
    return reject('critical-extension', `unknown critical extension ${facts.unknownCritical[0]}`);
  if (facts.isCa) return reject('signing-certificate', 'a CA certificate cannot identify a service');
  const usage = facts.keyUsage ?? 0;
  if (usage & (KeyUsage.keyCertSign | KeyUsage.crlSign))
    return reject('signing-certificate', 'its key may sign certificates or revocation lists');
  if (!(usage & KeyUsage.digitalSignature))
    return reject('key-usage', 'digitalSignature is not among its key usages');
  const extended = facts.extendedKeyUsages;
  if (extended) {
    for (const need of ['clientAuth', 'serverAuth'] as const) {
      if (!extended.includes(ExtendedKeyUsage[need]))
        return reject('key-usage', `${need} is not among its extended key usages`);
    }
  }
  return undefined;
}

function checkId(facts: CertificateFacts, { trustDomain, ids, federated }: PeerTrust): SpiffeId | Rejected {
  if (facts.uris.length === 0) return reject('no-uri', 'it has no URI name');
  if (facts.uris.length > 1)
    return reject('several-uris', `it has ${facts.uris.length} URI names, exactly one is allowed`);
  const uri = facts.uris[0]!;
  const split = splitSpiffeUri(uri);
  if (
    !isProblem(split) &&
    split.trustDomain !== trustDomain.toLowerCase() &&
    federated?.has(split.trustDomain)
  )
    return mappedId(uri, split, ids);
  const id = parseSpiffeId(uri);
  if (isProblem(id)) {
    if (ids === undefined || isProblem(split)) return reject('bad-spiffe-id', `${quote(uri)}: ${id.problem}`);
    return split.trustDomain === trustDomain.toLowerCase()
      ? mappedId(uri, split, ids)
      : wrongTrustDomain(uri, trustDomain);
  }
  if (id.trustDomain !== trustDomain.toLowerCase()) return wrongTrustDomain(uri, trustDomain);
  if (id.namespace !== 'default' || id.partition !== 'default')
    return reject('wrong-namespace', `${quote(uri)} is not of the default namespace and partition`);
  const { service } = id;
  if (ids?.binds(service) === true && !isProblem(split) && ids.serviceOf(split) !== service)
    return reject(
      'unmapped-id',
      `${quote(uri)} names ${quote(service)}, whose ids identity.ids lists, and is not one of them`,
    );
  return id;
}

/**
 * The id of a workload that is a service only because the operator says so: its path names none, or its trust domain is another one,
 * whose names are not ours.
 */
function mappedId(uri: string, split: IdParts, ids: MappedIds | undefined): SpiffeId | Rejected {
  const service = ids?.serviceOf(split);
  if (service === undefined)
    return reject(
      'unmapped-id',
      `${quote(uri)} names no service of ours, and identity.ids has no entry for it`,
    );
  const { trustDomain } = split;
  return { trustDomain, partition: 'default', namespace: 'default', datacenter: '', service, uri };
}

function wrongTrustDomain(uri: string, trustDomain: string): Rejected {
  return reject('wrong-trust-domain', `${quote(uri)} is not of the trust domain ${trustDomain}`);
}

function checkValidity(facts: CertificateFacts, wallNowMs: number): PeerVerification | undefined {
  if (wallNowMs < facts.notBeforeMs)
    return reject(
      'clock-not-yet-valid',
      `valid from ${isoTime(facts.notBeforeMs)}, ${clockRemark(wallNowMs)}`,
    );
  // A clock that is no number counts as expired.
  if (!(wallNowMs <= facts.notAfterMs))
    return reject('clock-expired', `valid until ${isoTime(facts.notAfterMs)}, ${clockRemark(wallNowMs)}`);
  return undefined;
}

function checkPath(
  leaf: ParsedCertificate,
  chainDer: readonly Uint8Array[],
  { trustDomain, roots }: Authority,
  wallNowMs: number,
): PeerVerification | undefined {
  if (chainDer.length > MAX_CHAIN_CERTIFICATES)
    return reject('chain-too-long', `more than ${MAX_CHAIN_CERTIFICATES} certificates above the leaf`);
  // An unreadable intermediate is skipped: another path may lead to a root.
  const intermediates = chainDer
    .map(parseCertificate)
    .filter((parsed): parsed is ParsedCertificate => !isProblem(parsed));
  const path = findPath(leaf, { trustDomain, roots, intermediates, wallNowMs });
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

/** Text from a peer on one line of a log, at most 200 characters. */
function quote(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);
}

function reject(reason: PeerRejection, detail: string): Rejected {
  return { kind: 'rejected', reason, detail };
}
