import type { HeaderEdits } from './header-edits.js';

/** A compiled expression; matching must take time linear in the text, which callers choose. */
export interface Pattern {
  /** As written in the configuration. */
  readonly source: string;
  /** Undefined: the text is too long to evaluate. */
  test(text: string): boolean | undefined;
}

/** Why an expression is not taken: what was found in it, or which bound it is over; fit for "Regex has …". */
export interface PatternFault {
  readonly fault: string;
}

/** Makes a pattern of an expression; passed in, so that decisions need no engine of their own. */
export type CompilePattern = (source: string) => Pattern | PatternFault;

/** Holds when one of the values does (Envoy 1.40; before, all of them were one text, joined by commas). */
export interface HeaderMatch {
  readonly name: string;
  /** Exactly one of the five; `present` asks for any value, an empty one included. */
  readonly present?: true;
  readonly exact?: string;
  readonly prefix?: string;
  readonly suffix?: string;
  readonly regex?: Pattern;
  /** No value as the rest says. Of an absent header only `present` inverted holds. */
  readonly invert: boolean;
}

/** Conditions of a route. */
export interface TrafficMatch {
  /** At most one of them; none: any path. A path is `/package.Service/Method`. */
  readonly exact?: string;
  readonly prefix?: string;
  readonly regex?: Pattern;
  /** `exact` and `prefix` take letters of either case; `regex` does not look at it. */
  readonly ignoreCase?: true;
  /** All of them. */
  readonly headers: readonly HeaderMatch[];
}

/** One of the clusters that a route leads to. */
export interface RouteLeg {
  readonly weight: number;
  readonly cluster: string;
  /** What calls of this leg follow in place of the route, where the leg edits headers of its own; absent: the route. */
  readonly route?: TrafficRoute;
}

/** A route with its weighted clusters. */
export interface TrafficRoute {
  /** Absent: every call. */
  readonly match?: TrafficMatch;
  /** Weights ≥ 0, their sum > 0. */
  readonly split: readonly RouteLeg[];
  /** What Consul's router says beside the destination; the sidecar's own file wins where it says something. */
  readonly timeoutMs?: number;
  readonly idleTimeoutMs?: number;
  readonly retry?: { readonly attempts: number; readonly on: readonly number[] };
  /** The path goes on with what `prefix` (or the whole path, `exact`) matched replaced by this. */
  readonly rewrite?: string;
  readonly requestHeaders?: HeaderEdits;
  /** Of what the endpoint answers; local replies have none. */
  readonly responseHeaders?: HeaderEdits;
}

/** The values of a header of the call; empty when it has none. */
export type Lookup = (name: string) => readonly string[];

/**
 * The route of a call: the first that matches; undefined when none does. Semantics of Consul's service-router and
 * service-splitter, and of Envoy's `config.route.v3.HeaderMatcher`, to which Consul translates them (decision 43 has the table).
 */
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
  if (!pathMatches(match, path)) return false;
  for (const header of match.headers) if (!headerMatches(header, lookup(header.name))) return false;
  return true;
}

function pathMatches({ exact, prefix, regex, ignoreCase }: TrafficMatch, path: string): boolean {
  if (exact !== undefined) return ignoreCase ? path.toLowerCase() === exact.toLowerCase() : path === exact;
  if (prefix !== undefined)
    return ignoreCase ? path.toLowerCase().startsWith(prefix.toLowerCase()) : path.startsWith(prefix);
  return regex === undefined || regex.test(path) === true;
}

function headerMatches(match: HeaderMatch, values: readonly string[]): boolean {
  if (match.present) return values.length > 0 !== match.invert;
  if (values.length === 0) return false;
  for (const value of values) {
    const found = valueMatches(match, value);
    if (found !== false) return found === true && !match.invert;
  }
  return match.invert;
}

function valueMatches(match: HeaderMatch, value: string): boolean | undefined {
  if (match.exact !== undefined) return value === match.exact;
  if (match.prefix !== undefined) return value.startsWith(match.prefix);
  if (match.suffix !== undefined) return value.endsWith(match.suffix);
  return match.regex?.test(value);
}

/** One of the route's legs, by chance in proportion to weight. */
export function drawLeg({ split }: TrafficRoute, random: () => number): RouteLeg {
  if (split.length === 1) return split[0]!;
  let total = 0;
  for (const { weight } of split) total += weight;
  let point = random() * total;
  for (const leg of split) {
    if (point < leg.weight) return leg;
    point -= leg.weight;
  }
  return split.findLast(({ weight }) => weight > 0)!;
}

/** The path after the route's rewrite. */
export function rewritePath(route: TrafficRoute, path: string): string {
  if (route.rewrite === undefined || route.match === undefined) return path;
  if (route.match.exact !== undefined) return route.rewrite;
  return route.rewrite + path.slice(route.match.prefix?.length ?? 0);
}
