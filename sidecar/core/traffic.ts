/**
 * Where a call goes before an endpoint is picked: the first route that matches, then one of its clusters by weight.
 * Semantics of Consul's service-router and service-splitter.
 */

/** What a text is compared with; must take time in proportion to the text, which callers choose. */
export interface Pattern {
  /** As it was written. */
  readonly source: string;
  test(text: string): boolean;
}

export interface HeaderMatch {
  readonly name: string;
  /** Exactly one of them; `present` alone asks for any value. */
  readonly present?: true;
  readonly exact?: string;
  readonly prefix?: string;
  readonly suffix?: string;
  readonly regex?: Pattern;
  /** The opposite of what the rest says. */
  readonly invert: boolean;
}

export interface TrafficMatch {
  /** At most one of them; none: any path. A path is `/package.Service/Method`. */
  readonly exact?: string;
  readonly prefix?: string;
  readonly regex?: Pattern;
  /** All of them. */
  readonly headers: readonly HeaderMatch[];
}

export interface TrafficRoute {
  /** Absent: every call. */
  readonly match?: TrafficMatch;
  /** Weights ≥ 0, their sum > 0. */
  readonly split: readonly { readonly weight: number; readonly cluster: string }[];
  /** What Consul's router says beside the destination; the sidecar's own file wins where it says something. */
  readonly timeoutMs?: number;
  readonly retry?: { readonly attempts: number; readonly on: readonly number[] };
  /** The path goes on with what `prefix` (or the whole path, `exact`) matched replaced by this. */
  readonly rewrite?: string;
}

/** The value of a metadata key of the call; undefined when it has none. */
export type Lookup = (name: string) => string | undefined;

/** The route of a call: the first that matches; undefined when none does. */
export function matchRoute(
  routes: readonly TrafficRoute[],
  path: string,
  lookup: Lookup,
): TrafficRoute | undefined {
  for (const route of routes)
    if (route.match === undefined || matches(route.match, path, lookup)) return route;
  return undefined;
}

function matches(match: TrafficMatch, path: string, lookup: Lookup): boolean {
  if (match.exact !== undefined && path !== match.exact) return false;
  if (match.prefix !== undefined && !path.startsWith(match.prefix)) return false;
  if (match.regex !== undefined && !match.regex.test(path)) return false;
  for (const header of match.headers)
    if (headerMatches(header, lookup(header.name)) === header.invert) return false;
  return true;
}

/** A header that is not there matches nothing, so its opposite matches (as in Envoy). */
function headerMatches(match: HeaderMatch, value: string | undefined): boolean {
  if (value === undefined) return false;
  if (match.exact !== undefined) return value === match.exact;
  if (match.prefix !== undefined) return value.startsWith(match.prefix);
  if (match.suffix !== undefined) return value.endsWith(match.suffix);
  if (match.regex !== undefined) return match.regex.test(value);
  return true;
}

/** One of the route's clusters, by chance in proportion to weight. */
export function drawCluster(route: TrafficRoute, random: () => number): string {
  const { split } = route;
  if (split.length === 1) return split[0]!.cluster;
  let total = 0;
  for (const { weight } of split) total += weight;
  let point = random() * total;
  for (const { weight, cluster } of split) {
    if (point < weight) return cluster;
    point -= weight;
  }
  return split.findLast(({ weight }) => weight > 0)!.cluster;
}

/** The path as it goes on. */
export function rewritePath(route: TrafficRoute, path: string): string {
  if (route.rewrite === undefined || route.match === undefined) return path;
  if (route.match.exact !== undefined) return route.rewrite;
  return route.rewrite + path.slice(route.match.prefix?.length ?? 0);
}
