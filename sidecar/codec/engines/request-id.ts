import { BodyReader, bodyIn } from '../body-reader.js';
import { FieldCursor, Step, Wire } from '../field-cursor.js';
import type { EngineCodec } from './engine-codec.js';
import { LONGEST_REQUEST_ID } from './generate-request.js';

/** Fields that are looked at: the id is the first one in most requests. */
const MAX_FIELDS = 64;

/** The id that a request of `Generate` has in its first bytes. Empty: none, or one that is too long. @param bytes without the prefix of its message */
export function requestIdIn(codec: EngineCodec, bytes: Buffer): string {
  const cursor = new FieldCursor(
    new BodyReader(bodyIn(bytes)),
    0,
    // How long the message is does not matter.
    Number.MAX_SAFE_INTEGER,
    bytes.length,
  );
  for (let n = 0; n < MAX_FIELDS && cursor.step() === Step.field; n++) {
    const { number, wire, start, end } = cursor;
    if (number !== codec.requestId || wire !== Wire.bytes) continue;
    return end > bytes.length || end - start > LONGEST_REQUEST_ID ? '' : bytes.toString('utf8', start, end);
  }
  return '';
}
