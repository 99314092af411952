import { BodyReader, bodyIn } from '../../codec/body-reader.js';
import { FieldCursor, Step } from '../../codec/field-cursor.js';

/** What a `ModelSpec` names. */
export interface ModelSpec {
  /** Empty: none. */
  readonly name: string;
  /** The number as text; empty: none, or a label (`version_label`), of which only the server knows the version. */
  readonly version: string;
}

/** Fields and wire types, as one (tensorflow_serving/apis/model.proto): the name, the version as a message, and its label. */
const NAME = 8 * 1 + 2;
const VERSION = 8 * 2 + 2;
const LABEL = 8 * 4 + 2;
/** Field 1 of google.protobuf.Int64Value. */
const VALUE = 8 * 1 + 0;

/**
 * Reads the bytes of a whole `ModelSpec` as a decoder would: of two fields of a number the last counts, of version and label too, and a version in two
 * parts is put together. Null: they are none, or have what decoders do not read alike (groups, numbers of more than 53 bits).
 */
export function readModelSpec(bytes: Buffer, start: number, end: number): ModelSpec | null {
  let name = '';
  /** −1: none. */
  let version = -1;
  const reader = new BodyReader(bodyIn(bytes, start, end));
  const fields = new FieldCursor(reader);
  let step = fields.step();
  for (; step === Step.field; step = fields.step()) {
    if (fields.value > Number.MAX_SAFE_INTEGER) return null;
    const { tag, start: from, end: to } = fields;
    if (tag === NAME) name = bytes.toString('utf8', start + from, start + to);
    else if (tag === LABEL) version = -1;
    else if (tag === VERSION) {
      const value = lastValue(reader, from, to);
      if (value === null) return null;
      // Encoders leave a number of 0 out: the message alone names version 0, and beside one that came before it changes nothing.
      version = value < 0 ? Math.max(version, 0) : value;
    }
  }
  if (step !== Step.end) return null;
  return { name, version: version < 0 ? '' : String(version) };
}

/** The number in an Int64Value; −1: it has none, null: it is no message. */
function lastValue(reader: BodyReader, start: number, end: number): number | null {
  let value = -1;
  const fields = new FieldCursor(reader, start, end);
  let step = fields.step();
  for (; step === Step.field; step = fields.step()) {
    if (fields.value > Number.MAX_SAFE_INTEGER) return null;
    if (fields.tag === VALUE) value = fields.value;
  }
  return step === Step.end ? value : null;
}
