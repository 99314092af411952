/**
 * The kinds of values that options are made of. Each reads the spelling of the file into what model.ts holds.
 */
import { isAbsolute, join } from 'node:path';
import * as z from 'zod';
import {
  ADDRESS_EXPECTED,
  ADDRESS_PATTERN,
  type Address,
  readAddress,
  writeAddress,
} from '../codecs/address.js';
import { DURATION_EXPECTED, DURATION_PATTERN, readDuration, writeDuration } from '../codecs/duration.js';
import { isOfHome, NO_HOME } from '../codecs/home.js';
import { invalid, type Parsed, quoted } from '../codecs/parse-result.js';
import { readSize, SIZE_EXPECTED, SIZE_PATTERN, writeSize } from '../codecs/size.js';
import { type FoundBlock, number } from './found.js';
import { inCode, located, type Report, type Rule, value, withUnit } from './option.js';

/** In the unit of the value: milliseconds, bytes, or none. Inclusive. */
export interface Bounds {
  readonly min: number;
  readonly max: number;
}

/** What a path in a file means: relative ones lie below the directory of the file. */
export function pathFrom(path: string, baseDir: string): string {
  return isAbsolute(path) ? path : join(baseDir, path);
}

/**
 * Text that `read` understands and `write` writes back. A problem becomes an issue whose message is the whole sentence.
 * `pattern` is for the JSON Schema; `read` is what decides. Values that are not `isWritable` belong to an alternative.
 */
export function codec<T>(
  expected: string,
  pattern: string,
  read: (text: string) => Parsed<T>,
  write: (value: T) => string,
  isWritable: (value: T) => boolean = () => true,
) {
  return z.codec(
    z.string({ error: expected }).meta({ pattern }),
    z.custom<T>((value) => isWritable(value as T)),
    {
      decode: (text, context): T => {
        const result = read(text);
        if (result.ok) return result.value;
        context.issues.push({ code: 'custom', input: text, message: result.problem });
        return text as T;
      },
      encode: (value) => write(value as T),
    },
  );
}

/** Text that is kept as it is where `read` takes it. */
export function checkedText(expected: string, pattern: string, read: (text: string) => Parsed<string>) {
  return codec(expected, pattern, read, (text) => text);
}

/** `range` is the whole phrase after "expected". */
function within(result: Parsed<number>, text: string, bounds: Bounds, range: string): Parsed<number> {
  if (!result.ok || (result.value >= bounds.min && result.value <= bounds.max)) return result;
  return { ok: false, problem: `found ${quoted(text)}; expected ${range}` };
}

/** Milliseconds. */
export function duration(bounds: Bounds) {
  const range = `${writeDuration(bounds.min)} to ${writeDuration(bounds.max)}`;
  const read = (text: string): Parsed<number> => within(readDuration(text), text, bounds, range);
  const schema = codec(DURATION_EXPECTED, DURATION_PATTERN, read, writeDuration);
  return withUnit(value(schema, { type: 'duration', range }), 'Ms');
}

/** Milliseconds; `none` is 0. */
export function durationOrNone(bounds: Bounds) {
  const range = `${writeDuration(bounds.min)} to ${writeDuration(bounds.max)}`;
  const expected = `${DURATION_EXPECTED}, or none`;
  const read = (text: string): Parsed<number> => {
    if (text === 'none') return { ok: true, value: 0 };
    return within(readDuration(text, expected), text, bounds, `${range}, or none`);
  };
  const write = (ms: number): string => (ms === 0 ? 'none' : writeDuration(ms));
  const schema = codec(expected, `^none$|${DURATION_PATTERN}`, read, write);
  return withUnit(value(schema, { type: 'duration or `none`', range }), 'Ms');
}

/** Bytes; bounds are in bytes. */
export function size(bounds: Bounds) {
  const range = `${writeSize(bounds.min)} to ${writeSize(bounds.max)}`;
  const read = (text: string): Parsed<number> => within(readSize(text), text, bounds, range);
  const schema = codec(SIZE_EXPECTED, SIZE_PATTERN, read, writeSize);
  return withUnit(value(schema, { type: 'size', range }), 'Bytes');
}

function address(read: (text: string) => Parsed<Address>) {
  const schema = codec(ADDRESS_EXPECTED, ADDRESS_PATTERN, read, writeAddress);
  return located(value(schema, { type: 'address' }), addressFrom);
}

/** A Unix socket to connect to. @param what it is, such as `the socket of a SPIRE agent`. */
export function socketAddress(what: string) {
  const expected = `${what}, such as "unix:///run/spire/agent.sock"`;
  const read = (text: string): Parsed<Address> => {
    const result = readAddress(text);
    return result.ok && result.value.kind === 'unix'
      ? result
      : invalid(`found ${quoted(text)}; expected ${expected}`);
  };
  return located(value(codec(expected, '^unix:.+', read, writeAddress), { type: 'address' }), addressFrom);
}

/** The address with the path of a socket below `baseDir`. */
function addressFrom(address: Address, baseDir: string): Address {
  return address.kind === 'tcp' ? address : { kind: 'unix', path: pathFrom(address.path, baseDir) };
}

/** Where to listen: port 0 takes any free one. */
export function listenAddress() {
  return address(readAddress);
}

/** Where to connect: port 0 is refused. */
export function peerAddress() {
  return address(readPeer);
}

/** Reads an address that can be connected to. */
export function readPeer(text: string): Parsed<Address> {
  const result = readAddress(text);
  if (!result.ok || result.value.kind === 'unix' || result.value.port !== 0) return result;
  return {
    ok: false,
    problem: `found ${quoted(text)}; expected a port from 1 to 65535, as nothing can be reached at port 0`,
  };
}

/** `otherwise` ends the message where something else is allowed beside the number. */
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
  const schema = z.codec(either, z.number(), {
    decode: (said): number => (said === 'none' ? 0 : said),
    encode: (count): number | 'none' => (count === 0 ? 'none' : count),
  });
  return value(schema, { type: 'whole number or `none`', range });
}

export const AUTO = 0;

/** `auto` is 0. */
export function wholeNumberOrAuto(bounds: Bounds) {
  const range = `${bounds.min} to ${bounds.max}`;
  const error = `a whole number from ${range}, or auto`;
  const either = z.union([wholeNumber(bounds, ', or auto'), z.literal('auto', { error })], { error });
  const schema = z.codec(either, z.number(), {
    decode: (said): number => (said === 'auto' ? AUTO : said),
    encode: (count): number | 'auto' => (count === AUTO ? 'auto' : count),
  });
  return value(schema, { type: 'whole number or `auto`', range });
}

/** A user id; `any` is −1. */
export function userOrAny() {
  const error = 'a user id, or any';
  const id = wholeNumber({ min: 0, max: 4_294_967_294 }, ', or any');
  const either = z.union([id, z.literal('any', { error })], { error });
  const schema = z.codec(either, z.number(), {
    decode: (said): number => (said === 'any' ? -1 : said),
    encode: (id): number | 'any' => (id === -1 ? 'any' : id),
  });
  return value(schema, { type: 'user id or `any`' });
}

function bounded(type: string, { min, max }: Bounds) {
  const range = `${min} to ${max}`;
  const error = `a ${type} from ${range}`;
  return value(z.number({ error }).min(min, { error }).max(max, { error }), { type, range });
}

/** Any number within bounds, both included. */
export function rational(bounds: Bounds) {
  return bounded('number', bounds);
}

/** Of 0 to 1 unless narrower bounds are given. */
export function ratio(bounds: Bounds = { min: 0, max: 1 }) {
  return bounded('ratio', bounds);
}

/** One of some words. */
export function choice<const T extends readonly [string, ...string[]]>(names: T) {
  const shown = names.map((name) => `\`${name}\``).join(', ');
  return value(z.enum(names, { error: `one of ${names.join(', ')}` }), { type: shown });
}

/** `true` or `false`; `yes` and `no` are text in YAML 1.2. */
export function yesOrNo() {
  return value(z.boolean({ error: 'true or false' }), { type: '`true` or `false`' });
}

/** Switched on or not there: code reads nothing where it is `false`. */
export function flag() {
  return inCode(
    yesOrNo().prefault(false),
    (said): boolean | undefined => said || undefined,
    (config) => config === true,
  );
}

/** A rule: one option is at most another of its block. `write` spells both in the message. */
export function atMost(key: string, bound: string, write: (value: number) => string): Rule {
  return (found, report) => {
    const [value, most] = [number(found[key]), number(found[bound])];
    if (value !== undefined && most !== undefined && value > most)
      report([key], `found ${write(value)}; expected at most ${bound} (${write(most)})`);
  };
}

/** A rule for blocks with two durations `base` and `max`. */
export function refuseMaxBelowBase(found: FoundBlock, report: Report): void {
  const [baseMs, maxMs] = [number(found['base']), number(found['max'])];
  if (baseMs === undefined || maxMs === undefined || maxMs >= baseMs) return;
  report(['max'], `found ${writeDuration(maxMs)}; expected at least base (${writeDuration(baseMs)})`);
}

/** A DNS-like name of a service, as Consul and SPIFFE ids take it. */
export const NAME = /^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/;

/** Text of one form. `error` is the phrase for messages. */
export function matching(type: string, form: RegExp, error: string) {
  return value(z.string({ error }).regex(form, { error }), { type });
}

/** A name of at most 63 characters. `what` is the noun phrase for the message. */
export function name(what: string) {
  return matching('name', NAME, `${what}: lower-case letters, digits, "-", "_" and ".", at most 63`);
}

/** Whether there is one of that name, rules about whole files check. */
export function upstreamName() {
  return name('the name of an upstream of this file');
}

/** A name, or `*`. */
export function serviceOrAny(what: string) {
  const error = `${what}, or "*" for all`;
  return value(z.union([z.literal('*'), name(what)], { error }), { type: 'name or `*`' });
}

/** The authority of a SPIFFE id, at most 255 characters. */
export function trustDomainName() {
  const error = 'a trust domain: lower-case letters, digits, "-", "_" and ".", at most 255';
  return matching('name', /^[a-z0-9]([a-z0-9._-]{0,253}[a-z0-9])?$/, error);
}

/** A path; a relative one lies below the directory of the file. `~` would become a directory of that name, whose removal is a danger. */
export function filePath(what: string) {
  const error = `the path of ${what}`;
  const schema = z
    .string({ error })
    .min(1, { error })
    .regex(/^[^\0]*$/, { error })
    .refine((path) => !isOfHome(path), {
      error: ({ input }) => `found ${quoted(String(input))}; expected ${error}, ${NO_HOME}`,
    });
  return located(value(schema, { type: 'path' }), pathFrom);
}

/** Text without NUL, which no argv, environment or path can hold. */
export function plainText(what: string) {
  return matching('text', /^[^\0]*$/, `${what}, without NUL characters`);
}

/** The same of 1 to 128 characters. */
export function shortText(what: string) {
  return plainText(what).min(1, { error: what }).max(128, { error: 'at most 128 characters' });
}

/** The name of a model as requests have it. */
export function modelName() {
  return plainText('the name of a model')
    .min(1, { error: 'the name of a model' })
    .max(128, { error: 'at most 128 characters' });
}

/** A list of such things (their plural), at most `max` of them. */
export function listOf<S extends z.ZodType>(item: S, things: string, max?: number) {
  const list = z.array(item, { error: `a list of ${things}` });
  return max === undefined ? list : list.max(max, { error: `at most ${max} ${things}` });
}
