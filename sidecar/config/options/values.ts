/**
 * The kinds of values that options are made of. Each reads the spelling of the file into what model.ts holds.
 */
import { z } from 'zod';
import { ADDRESS_EXPECTED, ADDRESS_PATTERN, readAddress } from '../codecs/address.js';
import { DURATION_EXPECTED, DURATION_PATTERN, readDuration, writeDuration } from '../codecs/duration.js';
import { quoted, type Spelled } from '../codecs/parse-result.js';
import { readSize, SIZE_EXPECTED, SIZE_PATTERN, writeSize } from '../codecs/size.js';
import type { Address } from '../model.js';
import { value } from './option.js';

/** In the unit of the value: milliseconds, bytes, or none. Inclusive. */
export interface Bounds {
  readonly min: number;
  readonly max: number;
}

/** Reads text by `read`; a problem becomes an issue whose message is the whole sentence. */
export function spelling<T>(expected: string, pattern: string, read: (text: string) => Spelled<T>) {
  return z
    .string({ error: expected })
    .meta({ pattern })
    .transform((text, context): T => {
      const result = read(text);
      if (result.ok) return result.value;
      context.addIssue({ code: 'custom', message: result.problem });
      return z.NEVER;
    });
}

/** `range` is the whole phrase after "expected". */
function within(result: Spelled<number>, text: string, bounds: Bounds, range: string): Spelled<number> {
  if (!result.ok || (result.value >= bounds.min && result.value <= bounds.max)) return result;
  return { ok: false, problem: `found ${quoted(text)}; expected ${range}` };
}

/** Milliseconds. */
export function duration(bounds: Bounds) {
  const range = `${writeDuration(bounds.min)} to ${writeDuration(bounds.max)}`;
  const read = (text: string): Spelled<number> => within(readDuration(text), text, bounds, range);
  return value(spelling(DURATION_EXPECTED, DURATION_PATTERN, read), { type: 'duration', range });
}

/** Milliseconds; `none` is 0. */
export function durationOrNone(bounds: Bounds) {
  const range = `${writeDuration(bounds.min)} to ${writeDuration(bounds.max)}`;
  const expected = `${DURATION_EXPECTED}, or none`;
  const read = (text: string): Spelled<number> => {
    if (text === 'none') return { ok: true, value: 0 };
    return within(readDuration(text, expected), text, bounds, `${range}, or none`);
  };
  return value(spelling(expected, `^none$|${DURATION_PATTERN}`, read), { type: 'duration or `none`', range });
}

/** Bytes; bounds are in bytes. */
export function size(bounds: Bounds) {
  const range = `${writeSize(bounds.min)} to ${writeSize(bounds.max)}`;
  const read = (text: string): Spelled<number> => within(readSize(text), text, bounds, range);
  return value(spelling(SIZE_EXPECTED, SIZE_PATTERN, read), { type: 'size', range });
}

/** Where to listen: port 0 takes any free one. */
export function listenAddress() {
  return value(spelling(ADDRESS_EXPECTED, ADDRESS_PATTERN, readAddress), { type: 'address' });
}

/** Where to connect: port 0 is refused. */
export function peerAddress() {
  const read = (text: string): Spelled<Address> => {
    const result = readAddress(text);
    if (!result.ok || result.value.kind === 'unix' || result.value.port !== 0) return result;
    return {
      ok: false,
      problem: `found ${quoted(text)}; expected a port from 1 to 65535, as nothing can be reached at port 0`,
    };
  };
  return value(spelling(ADDRESS_EXPECTED, ADDRESS_PATTERN, read), { type: 'address' });
}

export function wholeNumber(bounds: Bounds, otherwise = '') {
  const range = `${bounds.min} to ${bounds.max}`;
  const error = `a whole number from ${range}${otherwise}`;
  // Not z.int(): its issue stops the rules of every block around it, and those should all be heard at once.
  const whole = z
    .number({ error })
    .min(bounds.min, { error })
    .max(bounds.max, { error })
    .multipleOf(1, { error });
  return value(whole.meta({ type: 'integer' }), { type: 'whole number', range });
}

/** `none` is 0. */
export function wholeNumberOrNone(bounds: Bounds) {
  const range = `${bounds.min} to ${bounds.max}`;
  const error = `a whole number from ${range}, or none`;
  const either = z.union([wholeNumber(bounds, ', or none'), z.literal('none', { error })], { error });
  const read = either.transform((said): number => (said === 'none' ? 0 : said));
  return value(read, { type: 'whole number or `none`', range });
}

export function rational(bounds: Bounds) {
  const range = `${bounds.min} to ${bounds.max}`;
  const error = `a number from ${range}`;
  return value(z.number({ error }).min(bounds.min, { error }).max(bounds.max, { error }), {
    type: 'number',
    range,
  });
}

/** Of 0 to 1 unless narrower bounds are given. */
export function ratio(bounds: Bounds = { min: 0, max: 1 }) {
  const range = `${bounds.min} to ${bounds.max}`;
  const error = `a ratio from ${range}`;
  return value(z.number({ error }).min(bounds.min, { error }).max(bounds.max, { error }), {
    type: 'ratio',
    range,
  });
}

export function choice<const T extends readonly [string, ...string[]]>(names: T) {
  const shown = names.map((name) => `\`${name}\``).join(', ');
  return value(z.enum(names, { error: `one of ${names.join(', ')}` }), { type: shown });
}

export function yesOrNo() {
  return value(z.boolean({ error: 'true or false' }), { type: '`true` or `false`' });
}

/** A DNS-like name, as Consul and SPIFFE ids take it. */
/** Of a service. */
export const NAME = /^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/;

export function name(what: string) {
  const error = `${what}: lower-case letters, digits, "-", "_" and ".", at most 63`;
  return value(z.string({ error }).regex(NAME, { error }), { type: 'name' });
}

/** A name, or `*`. */
export function anyone(what: string) {
  const error = `${what}, or "*" for all`;
  return value(z.union([z.literal('*'), name(what)], { error }), { type: 'name or `*`' });
}

export function trustDomainName() {
  const error = 'a trust domain: lower-case letters, digits, "-", "_" and ".", at most 255';
  return value(z.string({ error }).regex(/^[a-z0-9]([a-z0-9._-]{0,253}[a-z0-9])?$/, { error }), {
    type: 'name',
  });
}

export function filePath(what: string) {
  const error = `the path of ${what}`;
  return value(
    z
      .string({ error })
      .min(1, { error })
      .regex(/^[^\0]*$/, { error }),
    { type: 'path' },
  );
}

export function plainText(what: string) {
  const error = `${what}, without NUL characters`;
  return value(z.string({ error }).regex(/^[^\0]*$/, { error }), { type: 'text' });
}
