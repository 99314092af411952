import { X509Certificate } from 'node:crypto';
import { attempt } from '../../runtime/attempt.js';
import type { IdentityProblem } from '../spiffe.js';
import { isProblem, splitSpiffeUri } from '../spiffe.js';
import { type CertificateFacts, KeyUsage, readCertificate } from './certificate.js';

/** A certificate parsed twice: here for its facts, by OpenSSL for its key and signature. */
export interface ParsedCertificate {
  readonly x509: X509Certificate;
  readonly facts: CertificateFacts;
}

/** Result of a path search; `detail` continues a sentence about the certificate. */
export type PathResult =
  | { readonly kind: 'trusted' }
  | { readonly kind: 'untrusted'; readonly detail: string }
  | { readonly kind: 'issuer-expired'; readonly detail: string }
  | { readonly kind: 'issuer-not-yet-valid'; readonly detail: string };

/** Longest chain that is accepted from a peer, without the leaf. */
export const MAX_CHAIN_CERTIFICATES = 10;
/** Signatures verified for one path at most, however the certificates are arranged. */
const MAX_SIGNATURES = 32;

/** Parses one certificate in DER. Never throws. */
export function parseCertificate(der: Uint8Array): ParsedCertificate | IdentityProblem {
  const facts = readCertificate(der);
  if (isProblem(facts)) return facts;
  const x509 = attempt(() => new X509Certificate(der), undefined);
  return x509 === undefined ? { problem: 'OpenSSL cannot read it' } : { x509, facts };
}

/**
 * Searches a path from a leaf to a root, and checks every signing certificate in it (RFC 5280
 * section 6): CA flag, key usage, validity, path length, URI name constraints and signature.
 * Revocation is not checked; Consul has none. OpenSSL checks a full handshake too; these checks
 * also hold for resumed sessions.
 */
export function findPath(leaf: ParsedCertificate, options: PathOptions): PathResult {
  return new PathSearch(options).run(leaf);
}

export interface PathOptions {
  readonly intermediates: readonly ParsedCertificate[];
  readonly roots: readonly ParsedCertificate[];
  /** Trust domain of the leaf. */
  readonly trustDomain: string;
  readonly wallNowMs: number;
}

class PathSearch {
  private signatures = 0;
  private best: PathResult = {
    kind: 'untrusted',
    detail: 'no trusted root issued it, nor an intermediate it came with',
  };

  constructor(private readonly options: PathOptions) {}

  run(leaf: ParsedCertificate): PathResult {
    return this.climb(leaf, []) ? { kind: 'trusted' } : this.best;
  }

  private climb(child: ParsedCertificate, below: readonly ParsedCertificate[]): boolean {
    for (const root of this.options.roots) {
      if (this.mayIssue(root, child, below.length)) return true;
    }
    for (const issuer of this.options.intermediates) {
      if (issuer === child || below.includes(issuer)) continue;
      if (this.mayIssue(issuer, child, below.length) && this.climb(issuer, [...below, issuer])) return true;
    }
    return false;
  }

  private mayIssue(issuer: ParsedCertificate, child: ParsedCertificate, intermediatesBelow: number): boolean {
    if (this.signatures >= MAX_SIGNATURES) return false;
    if (!named(child, issuer)) return false;
    const { facts } = issuer;
    if (!facts.isCa) return this.fail('untrusted', 'its issuer is not a CA');
    const unfit = foreignId(facts, this.options.trustDomain);
    if (unfit !== undefined) return this.fail('untrusted', unfit);
    if (facts.keyUsage !== undefined && !(facts.keyUsage & KeyUsage.keyCertSign))
      return this.fail('untrusted', 'its issuer may not sign certificates');
    if (facts.unknownCritical.length > 0)
      return this.fail(
        'untrusted',
        `its issuer has an unknown critical extension ${facts.unknownCritical[0]}`,
      );
    if (facts.pathLength !== undefined && intermediatesBelow > facts.pathLength)
      return this.fail('untrusted', `longer than the path of ${facts.pathLength} its issuer allows`);
    if (!hostAllowed(this.options.trustDomain, facts.uriConstraints))
      return this.fail('untrusted', 'its issuer may not name this trust domain');
    this.signatures++;
    if (!signed(child, issuer)) return this.fail('untrusted', 'its signature is not of the issuer it names');
    if (this.options.wallNowMs < facts.notBeforeMs)
      return this.fail('issuer-not-yet-valid', `its issuer is valid from ${isoTime(facts.notBeforeMs)}`);
    if (this.options.wallNowMs > facts.notAfterMs)
      return this.fail('issuer-expired', `its issuer was valid until ${isoTime(facts.notAfterMs)}`);
    return true;
  }

  private fail(kind: 'untrusted' | 'issuer-expired' | 'issuer-not-yet-valid', detail: string): false {
    this.best = { kind, detail };
    return false;
  }
}

/**
 * X509-SVID section 4: the SPIFFE id of a signing certificate has no path, and the trust domain of
 * the leaf. Undefined: no id, or a fitting one.
 */
function foreignId(facts: CertificateFacts, host: string): string | undefined {
  for (const uri of facts.uris) {
    const id = splitSpiffeUri(uri);
    if (isProblem(id)) continue;
    if (id.path !== '') return 'its issuer has the id of a workload, which may sign nothing';
    if (id.trustDomain !== host.toLowerCase()) return `its issuer is of the trust domain ${id.trustDomain}`;
  }
  return undefined;
}

function named(child: ParsedCertificate, issuer: ParsedCertificate): boolean {
  return attempt(() => child.x509.checkIssued(issuer.x509), false);
}

function signed(child: ParsedCertificate, issuer: ParsedCertificate): boolean {
  return attempt(() => child.x509.verify(issuer.x509.publicKey), false);
}

/**
 * RFC 5280 section 4.2.1.10: `.example` stands for every host below it, anything else for exactly
 * that host.
 */
function hostAllowed(host: string, constraints: CertificateFacts['uriConstraints']): boolean {
  const matches = (subtree: string) => (subtree.startsWith('.') ? host.endsWith(subtree) : host === subtree);
  if (constraints.excluded.some(matches)) return false;
  return constraints.permitted.length === 0 || constraints.permitted.some(matches);
}

/**
 * Parses the roots of a trust domain. A root with the SPIFFE id of another trust domain (Consul's
 * have one) is a problem.
 */
export function parseRoots(
  trustDomain: string,
  ders: readonly Uint8Array[],
): readonly ParsedCertificate[] | IdentityProblem {
  if (ders.length === 0) return { problem: 'no root certificate found; expected PEM' };
  const roots: ParsedCertificate[] = [];
  for (const [index, der] of ders.entries()) {
    const root = parseCertificate(der);
    if (isProblem(root)) return { problem: `root ${index + 1}: ${root.problem}` };
    if (!root.facts.isCa) return { problem: `root ${index + 1}: not a CA certificate` };
    for (const uri of root.facts.uris) {
      const id = splitSpiffeUri(uri);
      if (!isProblem(id) && id.trustDomain !== trustDomain.toLowerCase())
        return {
          problem: `root ${index + 1}: belongs to the trust domain ${id.trustDomain}, not ${trustDomain}`,
        };
    }
    roots.push(root);
  }
  return roots;
}

/** An epoch time in ms as ISO 8601; other numbers as they are. */
export function isoTime(ms: number): string {
  return Number.isFinite(ms) && Math.abs(ms) < 8.64e15 ? new Date(ms).toISOString() : String(ms);
}
