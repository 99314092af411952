import type { IdParts } from './spiffe.js';

/** A whole segment of this matches any one segment. */
const ANY = '*';
/** SPIFFE-ID section 2.2: letters, digits, `.`, `-`, `_`; no percent-encoding, no empty, `.` or `..` segment. */
const SEGMENT = /^(?!\.{1,2}$)[A-Za-z0-9._-]+$/;

const SCHEME_CHARACTERS = 'spiffe://'.length;

/** One id or pattern. */
interface MappedId {
  readonly trustDomain: string;
  readonly segments: readonly string[];
  readonly service: string;
}

/**
 * The service names of SPIFFE ids that do not name a service themselves, such as SPIRE's defaults (`/ns/ml/sa/digits`), as the
 * operator has written them down. An id without an entry has no service: nothing is guessed from its path, for
 * in the namespace of another team an account may have any name.
 */
export class MappedIds {
  private readonly entries: readonly MappedId[];

  private readonly services: ReadonlySet<string>;

  /** @param ids from `spiffe://TRUST DOMAIN/PATH` to service. */
  constructor(ids: Readonly<Record<string, string>>) {
    this.entries = Object.entries(ids).map(([id, service]) => {
      const slash = id.indexOf('/', SCHEME_CHARACTERS);
      const trustDomain = id.slice(SCHEME_CHARACTERS, slash);
      return { trustDomain, segments: segmentsOf(id.slice(slash)), service };
    });
    this.services = new Set(this.entries.map(({ service }) => service));
  }

  /** Whether the map says which ids this service has: then no other id is it, not even one that names it in its path. */
  binds(service: string): boolean {
    return this.services.has(service);
  }

  /**
   * The service of an id of this trust domain, with this path. An entry with fewer wildcards wins. Undefined: there is no entry, the best of them name
   * different services, or the path is none that SPIFFE allows.
   */
  serviceOf({ trustDomain, path }: IdParts): string | undefined {
    if (!path.startsWith('/')) return undefined;
    const segments = segmentsOf(path);
    if (!segments.every((segment) => SEGMENT.test(segment))) return undefined;
    const matching = this.entries.filter(
      (entry) => entry.trustDomain === trustDomain && matches(entry.segments, segments),
    );
    const fewest = Math.min(...matching.map(wildcardsOf));
    const services = new Set(
      matching.filter((entry) => wildcardsOf(entry) === fewest).map(({ service }) => service),
    );
    return services.size === 1 ? [...services][0] : undefined;
  }
}

function segmentsOf(path: string): string[] {
  return path.slice(1).split('/');
}

/** Whether each segment is the same, or any. A wildcard never stands for several segments, nor for part of one. */
function matches(pattern: readonly string[], segments: readonly string[]): boolean {
  if (pattern.length !== segments.length) return false;
  return pattern.every((part, at) => part === ANY || part === segments[at]);
}

function wildcardsOf({ segments }: MappedId): number {
  return segments.filter((part) => part === ANY).length;
}
