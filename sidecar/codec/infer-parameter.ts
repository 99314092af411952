import { BodyReader, bodyIn } from './body-reader.js';
import { FieldCursor, Step, Wire } from './field-cursor.js';
import { type Field, fieldsOf } from './protobuf.js';

/** What the beginning of a ModelInferRequest says of one parameter. */
export type ParameterReading =
  /** Its value as text: integers in decimal. */
  | { readonly kind: 'found'; readonly value: string }
  /** It has none, or one that says nothing: 0, the empty text, or of a type that is neither a text nor an integer. */
  | { readonly kind: 'absent' }
  /** More bytes are needed. */
  | { readonly kind: 'more' }
  | { readonly kind: 'malformed' };

/** Field numbers of ModelInferRequest (proto/inference.proto): a map, and the first field that is written after it. */
const PARAMETERS = 4;
const INPUTS = 5;
/** Tag of the key in an entry of a map. */
const KEY_TAG = 0x0a;

const ABSENT: ParameterReading = { kind: 'absent' };
const MORE: ParameterReading = { kind: 'more' };
const MALFORMED: ParameterReading = { kind: 'malformed' };

/**
 * Reads a parameter of a ModelInferRequest from the bytes that are here. Fields are looked at up to the first input, for
 * serializers write them in the order of their numbers; of several entries with the name the last counts, as in a map.
 *
 * @param bytes the beginning of the message, without the prefix of gRPC.
 * @param messageBytes the length of the whole message.
 */
export function readInferParameter(bytes: Buffer, messageBytes: number, name: string): ParameterReading {
  const entries: Entries = [null];
  const end = findEntries(bytes, messageBytes, [Buffer.from(name)], entries);
  return end === ALL ? parameterIn(entries[0]!) : end;
}

const SEQUENCE_NAMES = [Buffer.from('sequence_id'), Buffer.from('sequence_end')];

/**
 * The sequence that a ModelInferRequest belongs to (Triton's sequence extension), as far as its beginning says. An empty
 * `id`: it says none.
 */
export function readSequenceParameters(bytes: Buffer): { readonly id: string; readonly isEnd: boolean } {
  const entries: Entries = [null, null];
  findEntries(bytes, Number.POSITIVE_INFINITY, SEQUENCE_NAMES, entries);
  const [id, end] = entries as [Buffer | null, Buffer | null];
  const reading = parameterIn(id);
  return { id: reading.kind === 'found' ? reading.value : '', isEnd: isTrue(end) };
}

const START_NAME = [Buffer.from('sequence_start')];

/** Whether a ModelInferRequest is the first of its sequence, as far as its beginning says. */
export function readSequenceStart(bytes: Buffer): boolean {
  const entries: Entries = [null];
  findEntries(bytes, Number.POSITIVE_INFINITY, START_NAME, entries);
  return isTrue(entries[0]!);
}

function isTrue(entry: Buffer | null): boolean {
  const field = fieldIn(entry);
  return field?.number === BOOL && field.type === 'varint' && field.value !== 0n;
}

/** The last entry of each name that is looked for. */
type Entries = (Buffer | null)[];

const ALL = Symbol('all parameters have been seen');

function findEntries(
  bytes: Buffer,
  messageBytes: number,
  names: readonly Buffer[],
  entries: Entries,
): typeof ALL | ParameterReading {
  const fields = new FieldCursor(new BodyReader(bodyIn(bytes)), 0, messageBytes);
  for (;;) {
    let step = fields.stepTag();
    if (step === Step.end || (step === Step.field && fields.number >= INPUTS)) return ALL;
    if (step === Step.field) step = fields.stepContent();
    if (step === Step.malformed) return MALFORMED;
    if (step === Step.more || fields.end > bytes.length) return MORE;
    const { tag, start, end } = fields;
    if (tag === PARAMETERS * 8 + Wire.bytes)
      for (let i = 0; i < names.length; i++)
        if (isNamed(bytes, start, end, names[i]!)) entries[i] = bytes.subarray(start, end);
  }
}

/** Whether the key of an entry comes first, as all serializers write it, and is the wanted one. */
function isNamed(bytes: Buffer, start: number, end: number, wanted: Buffer): boolean {
  const from = start + 2;
  return (
    from + wanted.length <= end &&
    bytes[start] === KEY_TAG &&
    bytes[start + 1] === wanted.length &&
    bytes.compare(wanted, 0, wanted.length, from, from + wanted.length) === 0
  );
}

/** Fields of InferParameter. */
const BOOL = 1;
const INT64 = 2;
const STRING = 3;
const UINT64 = 5;

function parameterIn(entry: Buffer | null): ParameterReading {
  const field = fieldIn(entry);
  if (field === null) return MALFORMED;
  let value = '';
  if (field?.number === INT64 && field.type === 'varint') value = String(BigInt.asIntN(64, field.value));
  else if (field?.number === STRING && field.type === 'bytes') value = field.value.toString('utf8');
  else if (field?.number === UINT64 && field.type === 'varint') value = String(field.value);
  return value === '' || value === '0' ? ABSENT : { kind: 'found', value };
}

/** What the InferParameter of an entry, its field 2, holds: the last of its fields; undefined: nothing, null: it is cut off. */
function fieldIn(entry: Buffer | null): Field | undefined | null {
  let found: Field | undefined;
  try {
    if (entry !== null)
      for (const outer of fieldsOf(entry))
        if (outer.number === 2 && outer.type === 'bytes')
          for (const field of fieldsOf(outer.value)) found = field;
  } catch {
    return null;
  }
  return found;
}
