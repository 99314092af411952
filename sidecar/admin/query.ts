/**
 * The query of a request, read strictly: with a parameter that is misspelt, something else would be changed or shown than was meant.
 */

import { readDuration, writeDuration } from '../config/codecs/duration.js';
import { quoted } from '../config/codecs/parse-result.js';
import { nearest } from '../config/suggest.js';

/** A wrong parameter. The message is the body of a 400: the parameter, what was found and what is expected. */
export class Mistake extends Error {}

/** The answer to a mistake. Throws every other error on. */
export function mistakeAnswer(error: unknown): { readonly status: 400; readonly body: string } {
  if (error instanceof Mistake) return { status: 400, body: `${error.message}\n` };
  throw error;
}

/** @throws Mistake for a parameter that is none of `known`. */
export function refuseUnknown(query: URLSearchParams, known: readonly string[]): void {
  for (const name of query.keys()) {
    if (known.includes(name)) continue;
    const near = nearest(name, known);
    const hint = near === undefined ? `; expected ${known.join(', ')}` : `; did you mean ${near}?`;
    throw new Mistake(`found the parameter ${quoted(name)}${hint}`);
  }
}

/** @throws Mistake for a parameter that is there more than once. */
export function refuseRepeated(query: URLSearchParams): void {
  for (const name of query.keys())
    if (query.getAll(name).length > 1) throw new Mistake(`${name}: found it twice; expected it once`);
}

/** A duration above 0, ms; undefined: it is not there. @throws Mistake for another value. */
export function durationOf(query: URLSearchParams, name: string, longestMs: number): number | undefined {
  const given = query.get(name);
  if (given === null) return undefined;
  const read = readDuration(given);
  if (!read.ok) throw new Mistake(`${name}: ${read.problem}`);
  if (read.value > 0 && read.value <= longestMs) return read.value;
  throw new Mistake(
    `${name}: found ${quoted(given)}; expected at least 1ms and at most ${writeDuration(longestMs)}`,
  );
}

/** A number above 0, at most `most`; undefined: it is not there. @throws Mistake for another value. */
export function numberOf(query: URLSearchParams, name: string, most: number): number | undefined {
  const given = query.get(name);
  if (given === null) return undefined;
  const value = /^\d{0,4}(\.\d{1,9})?$/.test(given) && given !== '' ? Number(given) : Number.NaN;
  if (value > 0 && value <= most) return value;
  throw new Mistake(`${name}: found ${quoted(given)}; expected a number above 0, at most ${most}`);
}
