/** What a run draws once of its load and of failing models. */
import type { Dice } from '../dice.js';
import type { FaultPlan } from './plan.js';

/** A stream whose application pauses: so many messages, and so long between them, ms. */
export const MOST_PAUSES = 4;
export const LEAST_PAUSE_MS = 1_600;
export const MOST_PAUSE_MS = 3_000;

/** Of the tokens of a stream together, bytes. */
const MOST_TOKEN_BYTES = 300_000;

/** Of a stream that is longer than any window. */
const WIDE_TOKENS = { least: 120, most: 250, bytes: 12_000 };
/** Of token streams, where there are some; and of these, where some readers are slow, those that are read slowly. */
const WIDE_SHARE = 0.15;
export const WIDE_READ_SLOWLY = 0.5;

export function isWide({
  tokens,
  tokenBytes = 0,
}: {
  readonly tokens: number;
  readonly tokenBytes?: number;
}): boolean {
  return tokens * tokenBytes > MOST_TOKEN_BYTES + WIDE_TOKENS.bytes;
}

/** Tokens of a stream, and of some streams their size: from messages of one token to those that do not fit into a first window. */
export function tokensOf(
  dice: Dice,
  mayBeLarge: boolean,
  mayBeWide = false,
): { readonly tokens: number; readonly tokenBytes?: number } {
  if (mayBeWide && dice.of('wide').chance(WIDE_SHARE))
    return {
      tokens: dice.of('wide tokens').between(WIDE_TOKENS.least, WIDE_TOKENS.most),
      tokenBytes: WIDE_TOKENS.bytes,
    };
  const tokens = dice.of('tokens').logBetween(1, 300);
  if (!mayBeLarge || !dice.of('large tokens').chance(0.4)) return { tokens };
  const tokenBytes = dice.of('token bytes').pick([200, 2_000, 5_000, 12_000]);
  return { tokens: Math.min(tokens, Math.ceil(MOST_TOKEN_BYTES / tokenBytes)), tokenBytes };
}

/** Of streams that are no token streams a run has a few long ones, ms. */
const LONG_MS = [6_000, 12_000, 22_000];
const LONGEST_MS = 26_000;
/** Long streams are over so long after the last call, ms: the calls at the end are to meet none. */
const OVER_MS = 12_000;

/** The share of streams that are long: they take a part of the places of the models. A third of the calls are such streams at most. */
export function longShare(places: number, callsPerSecond: number, isExpiryLong: boolean): number {
  const taken = (isExpiryLong ? 0.4 : 0.25) * places;
  return Math.min(isExpiryLong ? 0.3 : 0.1, (3 * taken) / ((callsPerSecond * LONGEST_MS) / 1_000));
}

/** Small messages of a stream that goes on for long. */
export function longAnswer(
  dice: Dice,
  atMs: number,
  forMs: number,
  isExpiryLong: boolean,
): { readonly response: readonly number[]; readonly gapMs: number } {
  const gapMs = dice.pick([300, 900]);
  const lastsMs = Math.min(isExpiryLong ? LONGEST_MS : dice.pick(LONG_MS), forMs + OVER_MS - atMs);
  return { response: Array.from({ length: Math.floor(lastsMs / gapMs) }, () => dice.between(1, 200)), gapMs };
}

/** What the calls of a run have in common. */
export class LoadProfile {
  readonly timeoutsMs: readonly number[];
  readonly leastBytes: number;
  readonly mostBytes: number;
  /** Of what the replicas can run, calls of mixed durations ask about so much; and so much in a few long ones, each of some seconds. */
  readonly busy: number;
  readonly busyByLong: number;
  /** Bad requests: so many of the calls, and what models say to them. */
  readonly bad: { readonly share: number; readonly statuses: readonly number[] };

  constructor(dice: Dice) {
    const all = [50, 200, 500, 1_500, 5_000, 60_000];
    this.timeoutsMs = dice.chance(0.3) ? all : [dice.pick(all), dice.pick(all)];
    this.leastBytes = dice.pick([1, 1, 200, 3_000]);
    this.mostBytes = dice.pick([500, 4_000, 20_000, 20_000]);
    this.busy = dice.pick([0.1, 0.3, 0.5]);
    // Of calls: each takes about three seconds.
    this.busyByLong = dice.pick([0.03, 0.1, 0.25]) / 3;
    const bad = dice.of('bad');
    this.bad = { share: bad.pick([0.1, 0.3, 0.6, 0.9]), statuses: bad.pick([[13], [2], [2, 13]]) };
    if (this.leastBytes > this.mostBytes) this.mostBytes = 4 * this.leastBytes;
  }
}

/** Names and values that come again, and some that do not; lengths on both sides of what one byte of HPACK says. */
export function metadataOf(dice: Dice): Record<string, string> {
  const count = dice.between(0, 5);
  return Object.fromEntries(
    Array.from({ length: count }, () => {
      const name = `x-m${dice.between(1, 8)}`;
      const length = dice.pick([0, 1, 20, 126, 127, 128, dice.logBetween(1, 400)]);
      const letter = dice.chance(0.7) ? dice.pick(['a', 'b']) : String.fromCharCode(dice.between(97, 122));
      return [name, letter.repeat(length)];
    }),
  );
}

/** Of runs: no model fails all of its calls. */
export const PARTIAL_SHARE = 0.4;

/** All of its calls fail, or some; and it may say when to come again. */
export function failureOf(dice: Dice, isPartial: boolean): Pick<FaultPlan, 'share' | 'pushback'> {
  const isOfSome = dice.chance(0.5);
  return {
    ...(isOfSome ? { share: dice.pick([0.1, 0.3]) } : {}),
    ...(isPartial && !isOfSome ? { share: dice.of('partial').pick([0.1, 0.3]) } : {}),
    ...(dice.chance(0.5) ? { pushback: dice.pick(['-1', '200', 'later', 'later']) } : {}),
  };
}
