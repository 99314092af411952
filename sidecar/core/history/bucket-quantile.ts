/**
 * A quantile of times that were counted in buckets, linear within a bucket as `histogram_quantile` of Prometheus is. The last bucket has no
 * upper bound: what lies in it is shown as the last bound.
 *
 * @param counts of each bucket; one more than `bounds`.
 * @param bounds upper bounds, rising.
 * @returns undefined while nothing was counted.
 */
export function bucketQuantile(
  counts: ArrayLike<number>,
  bounds: readonly number[],
  share: number,
): number | undefined {
  let total = 0;
  for (let i = 0; i < counts.length; i++) total += counts[i]!;
  if (total <= 0) return undefined;
  let left = share * total;
  for (let i = 0; i < bounds.length; i++) {
    const here = counts[i]!;
    const floor = i === 0 ? 0 : bounds[i - 1]!;
    if (here > 0 && left <= here) return floor + (bounds[i]! - floor) * (left / here);
    left -= here;
  }
  return bounds.at(-1);
}
