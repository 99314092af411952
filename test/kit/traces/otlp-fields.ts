/** Fields of the messages of OTLP, by the reader of messages that the sidecar uses for other protocols. */
import { fieldsOf } from '../../../sidecar/codec/protobuf.js';

/** KeyValues. */
export function attributesOf(pairs: readonly Buffer[]): Record<string, string | number | boolean> {
  return Object.fromEntries(pairs.map((pair) => [textOf(pair, 1), readValue(messages(pair, 2)[0]!)]));
}

function readValue(any: Buffer): string | number | boolean {
  const [one] = [...fieldsOf(any)];
  if (one?.number === 1 && one.type === 'bytes') return one.value.toString('utf8');
  if (one?.number === 2 && one.type === 'varint') return one.value === 1n;
  if (one?.number === 3 && one.type === 'varint') return Number(one.value);
  if (one?.number === 4 && one.type === 'fixed64') return one.value.readDoubleLE();
  throw new Error(`no value that is known: ${any.toString('hex')}`);
}

/** A fixed32 or fixed64; undefined: it is not there. */
export function fixed(message: Buffer, number: number): Buffer | undefined {
  for (const each of fieldsOf(message))
    if (each.number === number && (each.type === 'fixed32' || each.type === 'fixed64')) return each.value;
  return undefined;
}

/** All of one number. */
export function messages(message: Buffer, number: number): Buffer[] {
  return [...fieldsOf(message)].flatMap((each) =>
    each.number === number && each.type === 'bytes' ? [each.value] : [],
  );
}

export function textOf(message: Buffer, number: number): string {
  return messages(message, number)[0]?.toString('utf8') ?? '';
}

export function numberOf(message: Buffer, number: number): number {
  for (const each of fieldsOf(message))
    if (each.number === number && each.type === 'varint') return Number(each.value);
  return 0;
}
