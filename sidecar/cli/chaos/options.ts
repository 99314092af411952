/** What a command line asks for: drills and arms by their names. */

import { CommandFailure } from '../failure.js';

const MOST_RUNS = 20;

/** Something with a name that can be asked for. */
interface Named {
  readonly name: string;
}

/**
 * Those of `all` that were asked for, in the order of `all`.
 *
 * @param kind for the message, such as `drill`.
 * @throws CommandFailure(2) for a name that is none, with the nearest one and the list.
 */
export function named<Item extends Named>(
  all: readonly Item[],
  asked: readonly string[],
  kind: string,
): readonly Item[] {
  const names = all.map(({ name }) => name);
  for (const name of asked) {
    if (names.includes(name)) continue;
    const near = nearest(name, names);
    const hint = near === undefined ? '' : `; did you mean ${near}?`;
    throw new CommandFailure(
      `there is no ${kind} ${name}${hint}\n${kind.replace(/^\w+/, '$&s')}: ${names.join(', ')}`,
      2,
    );
  }
  return all.filter(({ name }) => asked.includes(name));
}

/** The name with the fewest changes of single letters; undefined where even that one has more than half of its letters changed. */
export function nearest(name: string, names: readonly string[]): string | undefined {
  const found = names
    .map((each) => ({ each, changes: distance(name, each) }))
    .sort((a, b) => a.changes - b.changes)[0];
  return found !== undefined && found.changes <= found.each.length / 2 ? found.each : undefined;
}

/** `--runs`. @throws CommandFailure(2) for anything but a whole number from 1 to 20: a run of all drills takes an hour. */
export function runCount(text: string): number {
  const count = /^\d{1,2}$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > MOST_RUNS)
    throw new CommandFailure(`--runs ${text}: expected a whole number from 1 to ${MOST_RUNS}`, 2);
  return count;
}

/** Levenshtein's distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++)
      next.push(Math.min(row[j + 1]! + 1, next[j]! + 1, row[j]! + (letter === b[j] ? 0 : 1)));
    row = next;
  }
  return row[b.length]!;
}
