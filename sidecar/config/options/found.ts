/**
 * Reading values that may be wrong: each reader gives the value when it has the right type, else nothing.
 *
 * Rules between options use these, because they run on files whose single options are already known to be wrong.
 */
import type { Address } from '../codecs/address.js';

/** A block as a file holds it, in the names of the file; single options may be `WRONG`. */
export type FoundBlock = Readonly<Record<string, unknown>>;

/** A block or map; `{}` for anything else. */
export function mapping(value: unknown): FoundBlock {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as FoundBlock) : {};
}

/** The blocks of a map by name. */
export function entries(value: unknown): [string, FoundBlock][] {
  return Object.entries(mapping(value)).map(([key, inner]) => [key, mapping(inner)]);
}

/** The items of a list; none for anything else. */
export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The texts in a list. */
export function texts(value: unknown): string[] {
  return list(value).filter((item) => typeof item === 'string');
}

/** A text, or nothing. */
export function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** A finite number, which durations and sizes are too, or nothing. */
export function number(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

/** An address that was read, or nothing. */
export function address(value: unknown): Address | undefined {
  const { kind } = mapping(value);
  return kind === 'tcp' || kind === 'unix' ? (value as Address) : undefined;
}

/** Stands for a value that is wrong in itself: it is there, and nothing can be said about it. */
export const WRONG = Symbol('wrong');

interface Issue {
  readonly code?: string | undefined;
  readonly path?: readonly PropertyKey[] | undefined;
}

/** Where the issues are: one step of their paths, and what lies below it. */
type Places = Map<PropertyKey, Places>;

/** A copy in which every plain value that an issue is about is `WRONG`. Blocks and lists stay what they are. */
export function markWrong(value: unknown, issues: readonly Issue[]): unknown {
  const places: Places = new Map();
  for (const { code, path } of issues) {
    if (code === 'unrecognized_keys') continue;
    let place = places;
    for (const step of path ?? []) {
      const next: Places = place.get(step) ?? new Map();
      place.set(step, next);
      place = next;
    }
  }
  return marked(value, places);
}

function marked(value: unknown, places: Places): unknown {
  if (typeof value !== 'object' || value === null) return places.size === 0 ? WRONG : value;
  if (places.size === 0) return value;
  const copy = (Array.isArray(value) ? [...value] : { ...value }) as Record<PropertyKey, unknown>;
  for (const [step, inner] of places) {
    if (Object.hasOwn(copy, step)) copy[step] = marked(copy[step], inner);
  }
  return copy;
}
