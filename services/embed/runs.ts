/**
 * Which texts go through the network together. A run is as wide as its longest text, and shorter ones are padded, so texts of
 * like length are put together and a run is bounded: its memory grows with rows × tokens².
 */

/** Rows × tokens of a run at most; a single text may be longer. */
const MAX_PADDED_TOKENS = 4096;
/** A run ends before a text that would pad the shortest of it beyond this factor. */
const MAX_PADDING = 1.5;

/** Indices of texts that make one run, by their numbers of tokens. Every text is in one run. */
export function planRuns(lengths: readonly number[]): number[][] {
  const order = lengths.map((_, i) => i).sort((a, b) => lengths[a]! - lengths[b]! || a - b);
  const runs: number[][] = [];
  let run: number[] = [];
  for (const i of order) {
    const tokens = lengths[i]!;
    const shortest = run.length === 0 ? tokens : lengths[run[0]!]!;
    const isFull = (run.length + 1) * tokens > MAX_PADDED_TOKENS || tokens > shortest * MAX_PADDING;
    if (isFull && run.length > 0) {
      runs.push(run);
      run = [];
    }
    run.push(i);
  }
  if (run.length > 0) runs.push(run);
  return runs;
}
