/**
 * Where a call goes before an endpoint is picked: the first route that matches, then one of its clusters by weight.
 * Semantics of Consul's service-router and service-splitter.
 */

export interface HeaderMatch {
  readonly name: string;
  /** Exactly one of them; `present` alone asks for any value. */
  readonly present?: true;
  readonly exact?: string;
  readonly prefix?: string;
  readonly suffix?: string;
  readonly regex?: RegExp;
  /** The opposite of what the rest says. */
  readonly invert: boolean;
}

export interface TrafficMatch {
  /** At most one of them; none: any path. A path is `/package.Service/Method`. */
  readonly exact?: string;
  readonly prefix?: string;
  readonly regex?: RegExp;
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
}
