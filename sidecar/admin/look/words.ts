/** Numbers as the pages write them. */

/** A count or a rate in three digits. */
export function short(value: number): string {
  if (value >= 10_000) return `${Number((value / 1_000).toPrecision(3))}k`;
  return value >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(2)));
}

/** A time in ms, in the unit that reads best. */
export function time(ms: number): string {
  if (ms >= 1_000) return `${short(ms / 1_000)} s`;
  return `${short(ms)} ms`;
}

/** How long ago, or for how long, in one unit. */
export function span(ms: number): string {
  const seconds = Math.round(ms / 1_000);
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7_200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3_600)} h`;
}

/** A share of failures, never rounded to none. */
export function failing(ratio: number): string {
  if (ratio <= 0) return '0 %';
  if (ratio < 0.001) return 'under 0.1 %';
  return `${ratio < 0.1 ? Number((ratio * 100).toPrecision(2)) : Math.round(ratio * 100)} %`;
}

/** One thing or several. */
export function counted(count: number, one: string, several = `${one}s`): string {
  return `${count} ${count === 1 ? one : several}`;
}

/** A word of a shell as it is typed: a name may be anything. */
export function shellWord(word: string): string {
  return /^[\w.:@/=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
