/**
 * Files that a schema of options/ accepts, made from the schema itself: options are there or not, at either end of their
 * range or between. What a rule between options refuses is taken out again, until nothing is refused.
 */
import fc from 'fast-check';
import { z } from 'zod';
import { readDuration, writeDuration } from '../../../sidecar/config/codecs/duration.js';
import { readSize, writeSize } from '../../../sidecar/config/codecs/size.js';
import { valueDocs } from '../../../sidecar/config/options/option.js';
import { sidecarFile } from '../../../sidecar/config/options/sidecar-file.js';
import { anyCharacter } from './any-character.js';

type File = Record<string | number, unknown>;

/** Text of any characters but NUL, whole surrogate pairs only: files are UTF-8. */
const anyText = fc
  .string({ unit: anyCharacter, minLength: 1, maxLength: 12 })
  .map((text) => text.replaceAll('\0', '-'));

/** Few names, so that options name each other. */
const NAMES = ['a', 'digits-2'];

/** Values by the type that the reference shows; those with a range are made from it. */
const TEXTS: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  'user id or `any`': fc.constantFrom<unknown>('any', 0, 1_001),
  name: fc.constantFrom(...NAMES),
  'name or `*`': fc.constantFrom('*', ...NAMES),
  text: fc.oneof(anyText, fc.constantFrom('{model} {version}', 'A', 'B_*')),
  path: fc.constantFrom('/run/x', '/etc/a b.pem', 'beside/the file'),
  URL: fc.constantFrom('http://127.0.0.1:8500', 'https://consul.example:8501', 'unix:///run/consul.sock'),
  host: fc.constantFrom('10.0.0.7', 'digits.example'),
  address: fc
    .tuple(fc.constantFrom('127.0.0.1', '[::1]', 'model.example', 'unix:'), fc.nat(9_999))
    .map(([host, n]) => (host === 'unix:' ? `unix:/run/${n}.sock` : `${host}:${20_000 + n}`)),
  versions: fc.constantFrom('all', 'latest', 'latest 2', 'specific 1, 3'),
  'metadata key': fc.constantFrom('x-session', 'user_id', 'tenant.name'),
  method: fc.constantFrom(
    '*',
    '/a.B/*',
    '/a.B/C',
    '/inference.GRPCInferenceService/ModelInfer',
    '/inference.GRPCInferenceService/ModelReady',
  ),
};

/** What a schema accepts of a single option. Rules between options are for `accepted`. */
function inputsOf(schema: z.ZodType): fc.Arbitrary<unknown> {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodPrefault)
    return inputsOf(schema.unwrap() as z.ZodType);
  if (schema instanceof z.ZodEnum) return fc.constantFrom(...schema.options);
  if (schema instanceof z.ZodBoolean) return fc.boolean();
  const doc = valueDocs.get(schema);
  if (doc?.range !== undefined) return inRange(doc.type, doc.range);
  if (doc !== undefined) return TEXTS[doc.type] ?? fc.constantFrom(...wordsOf(schema));
  if (schema instanceof z.ZodObject) {
    const shape = Object.entries(schema.shape) as [string, z.ZodType][];
    const requiredKeys = shape.filter(([, field]) => !field.safeParse(undefined).success).map(([key]) => key);
    return fc.record(Object.fromEntries(shape.map(([key, field]) => [key, inputsOf(field)])), {
      requiredKeys,
    });
  }
  if (schema instanceof z.ZodArray)
    return fc.array(inputsOf(schema.element as z.ZodType), { minLength: 1, maxLength: 2 });
  if (schema instanceof z.ZodRecord) {
    const inner = inputsOf(schema.valueType as z.ZodType);
    return fc.dictionary(fc.constantFrom(...NAMES), inner, { minKeys: 1, maxKeys: 2, noNullPrototype: true });
  }
  if (schema instanceof z.ZodUnion)
    return fc.oneof(...(schema.options as z.ZodType[]).map((branch) => inputsOf(branch)));
  return anyText;
}

/** The words, and true and false, of an enumeration below a codec. */
function wordsOf(schema: z.ZodType): unknown[] {
  if (schema instanceof z.ZodCodec) return wordsOf(schema.def.in as z.ZodType);
  if (schema instanceof z.ZodEnum) return schema.options as string[];
  if (schema instanceof z.ZodUnion) return (schema.options as z.ZodType[]).flatMap(wordsOf);
  if (schema instanceof z.ZodBoolean) return [true, false];
  if (schema instanceof z.ZodLiteral) return [...schema.values];
  throw new TypeError(`no values for a schema of type ${schema.type}`);
}

/** `range` as the reference shows it: "1ms to 24h", "0 to 1", "above 0.5, at most 0.999". */
function inRange(type: string, range: string): fc.Arbitrary<unknown> {
  const [low = '', high = ''] = range.match(/[\d.]+\w*/g) ?? [];
  const orNone = (inner: fc.Arbitrary<unknown>) =>
    type.includes('`none`') ? fc.oneof(fc.constant('none'), inner) : inner;
  if (type.startsWith('duration')) return orNone(between(low, high, readDuration).map(writeDuration));
  if (type === 'size') return between(low, high, readSize).map(writeSize);
  if (type.startsWith('whole number')) return orNone(fc.integer({ min: Number(low), max: Number(high) }));
  const minExcluded = range.startsWith('above');
  return fc.double({ min: Number(low), max: Number(high), minExcluded, noNaN: true });
}

function between(low: string, high: string, read: typeof readSize): fc.Arbitrary<number> {
  const [min, max] = [read(low), read(high)];
  if (!min.ok || !max.ok) throw new RangeError(`not a range: ${low} to ${high}`);
  return fc.integer({ min: min.value, max: max.value });
}

/** Takes out what the schema refuses, until it refuses nothing; undefined when the file as a whole is refused. */
function accepted(schema: z.ZodType, file: File): File | undefined {
  for (;;) {
    const issues = schema.safeParse(file).error?.issues ?? [];
    if (issues.length === 0) return file;
    if (issues.some(({ path }) => path.length === 0)) return undefined;
    const paths = new Map(issues.map(({ path }) => [path.join(), path as (string | number)[]]));
    // From the end, so that the places of items in lists stay right.
    const ordered = [...paths.values()].sort(byPlace).reverse();
    let before: readonly (string | number)[] = [];
    for (const path of ordered) {
      // What lies in or around something taken out just now is looked at again.
      if (before.length === 0 || (!isWithin(before, path) && !isWithin(path, before))) takeOut(file, path);
      before = path;
    }
  }
}

function byPlace(one: readonly (string | number)[], other: readonly (string | number)[]): number {
  for (const [i, step] of one.entries()) {
    const theirs = other[i];
    if (theirs === undefined) return 1;
    if (step !== theirs) return step < theirs ? -1 : 1;
  }
  return one.length - other.length;
}

function isWithin(inner: readonly (string | number)[], outer: readonly (string | number)[]): boolean {
  return outer.every((step, i) => inner[i] === step);
}

/** Takes out the value at `path`, or where there is none, what it lies in. */
function takeOut(file: File, path: readonly (string | number)[]): void {
  let holder = file;
  for (const [depth, step] of path.entries()) {
    const inner = holder[step] as File | undefined;
    const next = path[depth + 1];
    if (next !== undefined && typeof inner === 'object' && Object.hasOwn(inner, next)) holder = inner;
    else if (Array.isArray(holder)) return void holder.splice(step as number, 1);
    else return void delete holder[step];
  }
}

/** Values for JSON.stringify. */
export const sidecarFiles: fc.Arbitrary<File> = inputsOf(sidecarFile)
  .map((file) => accepted(sidecarFile, structuredClone(file) as File))
  .filter((file) => file !== undefined);
