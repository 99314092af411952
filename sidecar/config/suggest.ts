/**
 * "Did you mean": the known word nearest to a mistyped one.
 */

/**
 * The nearest of `known`, or nothing when none is near: at most a third of the letters may differ (at least two in
 * words of four and more), or it is the only one that begins so. Case, `-` and `_` do not count, so that
 * `maxWaiting` finds `max_waiting`.
 */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const plain = simplify(word);
  if (plain === '' || plain.length > 64) return undefined;
  const limit = plain.length < 4 ? 1 : Math.max(2, Math.floor(plain.length / 3));
  let best: string | undefined;
  let bestDistance = limit + 1;
  for (const candidate of known) {
    const distance = editDistance(plain, simplify(candidate));
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  if (best !== undefined || plain.length < 3) return best;
  const longer = known.filter((candidate) => simplify(candidate).startsWith(plain));
  return longer.length === 1 ? longer[0] : undefined;
}

/** `; did you mean "…"?` with the nearest of `known`, for the end of a message; empty when none is near. */
export function didYouMean(word: string, known: readonly string[]): string {
  const meant = nearest(word, known);
  return meant === undefined ? '' : `; did you mean "${meant}"?`;
}

function simplify(word: string): string {
  return word.toLowerCase().replaceAll(/[-_\s]/g, '');
}

/** Optimal string alignment: insertions, deletions, replacements and swaps of neighbours cost 1 each. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let value = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        value = Math.min(value, before[j - 2]! + 1);
      row.push(value);
    }
    before = last;
    last = row;
  }
  return last[b.length]!;
}
