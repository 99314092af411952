import { attempt } from '../runtime/attempt.js';
/**
 * A SPIFFE id of a service in Consul's form, `spiffe://<trust
 * domain>/ns/<namespace>/dc/<datacenter>/svc/<service>`. Each path segment is unescaped exactly
 * once: `web%2Fadmin` is the service `web/admin`, not `web`.
 */
export interface SpiffeId {
  /** Lower case, compared exactly. */
  readonly trustDomain: string;
  readonly partition: string;
  readonly namespace: string;
  /** Empty for an id that the operator has mapped to its service. */
  readonly datacenter: string;
  /** Unescaped: may hold any printable character. Where plain ASCII is needed, use `uri`. */
  readonly service: string;
  /** As it stood in the certificate: printable ASCII. */
  readonly uri: string;
}

/** A SPIFFE id in its two parts; the path has its first slash. */
export interface IdParts {
  /** In lower case. */
  readonly trustDomain: string;
  readonly path: string;
}

/** A value in place of an exception: what is wrong, for a log. Never contains key material. */
export interface IdentityProblem {
  readonly problem: string;
}

/** Tells a problem from the value that is returned otherwise. */
export function isProblem<T>(value: T | IdentityProblem): value is IdentityProblem {
  return typeof value === 'object' && value !== null && 'problem' in value;
}

const SCHEME = 'spiffe://';
/** SPIFFE-ID section 2.3 and 2.1. */
const MAX_ID_BYTES = 2048;
const MAX_TRUST_DOMAIN_BYTES = 255;

const TRUST_DOMAIN = /^[a-z0-9._-]+$/;
/** RFC 3986 pchar. */
const SEGMENT = /^(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+$/;
const SERVICE_PATH = /^(?:\/ap\/([^/]+))?\/ns\/([^/]+)\/dc\/([^/]+)\/svc\/([^/]+)$/;
const OTHER_KINDS: ReadonlyArray<readonly [RegExp, string]> = [
  [/^(?:\/ap\/[^/]+)?\/agent\/client\//, 'a client agent'],
  [/^\/agent\/server\//, 'a server agent'],
  [/^(?:\/ap\/[^/]+)?\/gateway\//, 'a gateway'],
  [/^(?:\/ap\/[^/]+)?\/ns\/[^/]+\/identity\//, 'a workload identity'],
];

/**
 * Splits `spiffe://<trust domain><path>` and checks its syntax (SPIFFE-ID section 2), without
 * reading the path.
 */
export function splitSpiffeUri(uri: string): IdParts | IdentityProblem {
  if (uri.length > MAX_ID_BYTES) return { problem: `longer than ${MAX_ID_BYTES} bytes` };
  if (!uri.startsWith(SCHEME)) return { problem: 'the scheme is not "spiffe"' };
  const slash = uri.indexOf('/', SCHEME.length);
  const authority = slash < 0 ? uri.slice(SCHEME.length) : uri.slice(SCHEME.length, slash);
  const path = slash < 0 ? '' : uri.slice(slash);
  if (uri.includes('?')) return { problem: 'has a query' };
  if (uri.includes('#')) return { problem: 'has a fragment' };
  if (authority.includes('@')) return { problem: 'has user information' };
  if (authority.includes(':')) return { problem: 'has a port' };
  const trustDomain = authority.toLowerCase();
  if (trustDomain.length > MAX_TRUST_DOMAIN_BYTES)
    return { problem: `the trust domain is longer than ${MAX_TRUST_DOMAIN_BYTES} bytes` };
  if (!TRUST_DOMAIN.test(trustDomain))
    return { problem: 'the trust domain is empty or has illegal characters' };
  return { trustDomain, path };
}

/**
 * Parses the id of a service. Ids of agents, servers and gateways, and malformed ids, are problems.
 */
export function parseSpiffeId(uri: string): SpiffeId | IdentityProblem {
  const split = splitSpiffeUri(uri);
  if (isProblem(split)) return split;
  const match = SERVICE_PATH.exec(split.path);
  if (!match) {
    const other = OTHER_KINDS.find(([pattern]) => pattern.test(split.path));
    return { problem: other ? `names ${other[1]}, not a service` : 'the path does not name a service' };
  }
  const segments: string[] = [];
  for (const raw of [match[1] ?? 'default', match[2]!, match[3]!, match[4]!]) {
    const segment = unescapeSegment(raw);
    if (segment === undefined) return { problem: 'a path segment has illegal characters or escapes' };
    segments.push(segment);
  }
  const [partition, namespace, datacenter, service] = segments as [string, string, string, string];
  return { trustDomain: split.trustDomain, partition, namespace, datacenter, service, uri };
}

/**
 * `spiffe://<trust domain>/ns/default/dc/<datacenter>/svc/<service>`. The parts are escaped; throws
 * on unpaired surrogates.
 */
export function formatSpiffeId(parts: { trustDomain: string; datacenter: string; service: string }): string {
  const { trustDomain, datacenter, service } = parts;
  return `${trustDomainUri(trustDomain)}/ns/default/dc/${encodeURIComponent(datacenter)}/svc/${encodeURIComponent(service)}`;
}

/** The SPIFFE id of a trust domain, for signing certificates: `spiffe://<trust domain>`. */
export function trustDomainUri(trustDomain: string): string {
  return `${SCHEME}${trustDomain.toLowerCase()}`;
}

function unescapeSegment(raw: string): string | undefined {
  if (!SEGMENT.test(raw)) return undefined;
  const text = attempt(() => decodeURIComponent(raw), undefined);
  if (text === undefined || text === '.' || text === '..') return undefined;
  // Control characters have no place in a name, and would travel into logs and metadata.
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x20 || (code >= 0x7f && code <= 0x9f)) return undefined;
  }
  return text;
}
