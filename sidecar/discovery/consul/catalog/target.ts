import { defined } from '../../../config/present.js';
import type { QuerySpec } from '../query/query-spec.js';

/** A service, or a part of it, that endpoints are read for. */
export interface Target {
  readonly service: string;
  /** Absent: the agent's own. */
  readonly datacenter?: string;
  /** A filter expression of Consul's, see `filterFor`. */
  readonly filter?: string;
  /** An instance whose checks warn counts as critical. */
  readonly onlyPassing?: boolean;
  /** For the SNI of connections to it; not part of the query. */
  readonly subset?: string;
  /**
   * `connect` (default): its proxies and natives, which have its identity. `plain`: the service itself, outside the
   * mesh.
   */
  readonly via?: 'connect' | 'plain';
}

/** Targets of one key share one query and one working set. */
export function keyOf(target: Target): string {
  return `${queryOf(target).key}${target.onlyPassing === true ? '#passing' : ''}`;
}

/** A target's name in messages and metrics: `digits@dc2`. */
export function titleOf({ service, datacenter, filter, onlyPassing }: Target): string {
  const where = datacenter === undefined ? '' : `@${datacenter}`;
  const checks = onlyPassing === true ? 'only passing' : undefined;
  const which = Object.values(defined({ filter, checks }));
  return `${service}${where}${which.length === 0 ? '' : ` (${which.join(', ')})`}`;
}

/**
 * The blocking query for a target. It does not ask for `passing` alone: critical instances are used when no other is
 * left.
 */
export function queryOf(target: Target): Pick<QuerySpec<unknown>, 'key' | 'name' | 'path' | 'query'> {
  const { service, datacenter, filter, via } = target;
  const path = `/health/${via === 'plain' ? 'service' : 'connect'}/${encodeURIComponent(service)}`;
  const query = defined({ dc: datacenter, filter }) as Record<string, string>;
  const key = `${path}?${new URLSearchParams(query).toString()}`;
  return { key, name: `instances of ${titleOf({ ...target, onlyPassing: false })}`, path, query };
}

/**
 * The filter expression for instances that have all of these tags and meta values; undefined when there are none.
 * Equal requirements give equal text, in whatever order they come.
 */
export function filterFor(
  tags: readonly string[],
  meta: Readonly<Record<string, string>>,
): string | undefined {
  const terms = [
    ...[...new Set(tags)].sort().map((tag) => `${literal(tag)} in Service.Tags`),
    ...Object.entries(meta)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, value]) => `Service.Meta[${literal(name)}] == ${literal(value)}`),
  ];
  return terms.length === 0 ? undefined : terms.join(' and ');
}

/**
 * A string of Consul's filter language: Go's escapes, which JSON's are but for the quote. Consul's scanner ends a string at
 * the first quote whatever stands before it, so the quote is written by its number.
 */
function literal(text: string): string {
  return `"${JSON.stringify(text).slice(1, -1).replaceAll('\\"', '\\x22')}"`;
}
