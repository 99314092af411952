/** What follows from the figures of several sizes. Pure. */

/** `y = fixed + perUnit · x`, and how far the worst point lies from it, as a part of its own value. */
export interface Fit {
  readonly fixed: number;
  readonly perUnit: number;
  readonly worstMiss: number;
}

/** The straight line with the least squares; of one point, the line through it and zero. */
export function fitLine(points: readonly (readonly [x: number, y: number])[]): Fit {
  const n = points.length;
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / n;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / n;
  const spread = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  const shared = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  const perUnit = spread === 0 ? meanY / meanX : shared / spread;
  const fixed = meanY - perUnit * meanX;
  const misses = points.map(([x, y]) => Math.abs(fixed + perUnit * x - y) / Math.abs(y || 1));
  return { fixed, perUnit, worstMiss: Math.max(...misses) };
}

/** A value of a straight fit; what a line puts below zero is zero. */
export function at({ fixed, perUnit }: Fit, x: number): number {
  return Math.max(0, fixed + perUnit * x);
}

/** The value below which this share of them lies (nearest rank). */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)]!;
}

/** Series of a sidecar's metrics: `fixed + perUpstream · U + perEndpoint · U · E + perMethod · U · M`. */
export interface SeriesCost {
  readonly fixed: number;
  readonly perUpstream: number;
  readonly perEndpoint: number;
  readonly perMethod: number;
}

/** Upstreams, endpoints of each, methods of each that were called, and the series that were found. */
export interface SeriesCount {
  readonly upstreams: number;
  readonly endpoints: number;
  readonly methods: number;
  readonly series: number;
}

/** Of four counts: one of each, and each of the three more often in turn. */
export function seriesCost([one, upstreams, endpoints, methods]: readonly [
  SeriesCount,
  SeriesCount,
  SeriesCount,
  SeriesCount,
]): SeriesCost {
  const perEndpoint = (endpoints.series - one.series) / (endpoints.endpoints - 1);
  const perMethod = (methods.series - one.series) / (methods.methods - 1);
  const whole = (upstreams.series - one.series) / (upstreams.upstreams - 1);
  return {
    fixed: one.series - whole,
    perUpstream: whole - perEndpoint - perMethod,
    perEndpoint,
    perMethod,
  };
}

export function seriesOf(cost: SeriesCost, { upstreams, endpoints, methods }: Omit<SeriesCount, 'series'>) {
  const each = cost.perUpstream + cost.perEndpoint * endpoints + cost.perMethod * methods;
  return Math.round(cost.fixed + upstreams * each);
}

/** Certificates that are renewed per second when each is renewed after two thirds of its life. */
export function renewalsPerSecond(sidecars: number, lifetimeSeconds: number): number {
  return sidecars / ((lifetimeSeconds * 2) / 3);
}
