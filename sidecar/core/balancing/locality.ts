/** Region and zone of a machine, of which one may be unknown. */
export interface Place {
  readonly region: string;
  readonly zone: string;
}

/**
 * The name of a place: `region/zone`, or the region alone. A zone belongs to a region, for which its datacenter stands in where the
 * region is not known. Empty: nothing is known. At most 256 characters.
 */
export function nameOfPlace({ region, zone }: Place, datacenter: string): string {
  if (region === '' && zone === '') return '';
  const parts = [region || datacenter, zone].map((part) => part.replaceAll('/', '-').slice(0, 128));
  return parts.filter((part) => part !== '').join('/');
}

/** How near a place is: in the same zone (or at the same place of any name), in the same region, or elsewhere. */
export const NEARNESS = { zone: 0, region: 1, elsewhere: 2 } as const;
/** Values of `NEARNESS`. */
export const TIERS = 3;

/** How near `place` is to `own`. Names are compared up to the slash between region and zone; one without a zone is all of its region. */
export function nearnessOf(own: string, place: string): number {
  if (place === own) return NEARNESS.zone;
  const slash = own.indexOf('/');
  if (slash < 0) return place.startsWith(`${own}/`) ? NEARNESS.zone : NEARNESS.elsewhere;
  const region = own.slice(0, slash);
  return place === region || place.startsWith(`${region}/`) ? NEARNESS.region : NEARNESS.elsewhere;
}

/** The endpoints that are equally near: weight of those that may be called, and of all. */
export interface Tier {
  readonly eligible: number;
  readonly all: number;
}

/**
 * The share of the traffic that each tier takes, nearest first; the sum is 1, or 0 where nothing may be called.
 *
 * As Envoy's priority levels do it, a tier takes up to its healthy share ÷ `spillBelow` (0.7 is Envoy's overprovisioning factor of 1.4),
 * and the rest goes on to the next; where all together are not enough, the shares are scaled up. In addition a tier that helps out
 * takes no more than its size allows: the traffic is what the nearest tier is made for, so one endpoint is not given the
 * rest of ten.
 */
export function sharesOf(tiers: readonly Tier[], spillBelow: number): number[] {
  const usual = tiers.find(({ all }) => all > 0)?.all ?? 0;
  const capacities = tiers.map(({ eligible, all }) => {
    if (!(eligible > 0)) return 0;
    // A factor of 0: a tier takes everything while one of it is left.
    if (!(spillBelow > 0)) return 1;
    return Math.min(1, eligible / all / spillBelow, eligible / usual / spillBelow);
  });
  const total = Math.min(
    1,
    capacities.reduce((sum, each) => sum + each, 0),
  );
  let left = 1;
  return capacities.map((capacity) => {
    const share = total === 0 ? 0 : Math.min(left, capacity / total);
    // What rounding leaves over is no share.
    left = left - share < 1e-9 ? 0 : left - share;
    return share;
  });
}

/** Factors on the weights of a tier's endpoints, so that the tiers get their shares; 0: no traffic. At most 1, and one of them is 1. */
export function factorsOf(tiers: readonly Tier[], spillBelow: number): number[] {
  const shares = sharesOf(tiers, spillBelow);
  const each = shares.map((share, at) => (share > 0 ? share / tiers[at]!.eligible : 0));
  const most = Math.max(...each);
  return each.map((factor) => (most > 0 ? factor / most : 1));
}
