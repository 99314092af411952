/** What a command line asks for: drills and arms by their names. */

import { nearest } from '../../config/suggest.js';
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

/** `--runs`. @throws CommandFailure(2) for anything but a whole number from 1 to 20: a run of all drills takes an hour. */
export function runCount(text: string): number {
  const count = /^\d{1,2}$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > MOST_RUNS)
    throw new CommandFailure(`--runs ${text}: expected a whole number from 1 to ${MOST_RUNS}`, 2);
  return count;
}
