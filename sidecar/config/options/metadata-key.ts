/**
 * Keys of gRPC metadata that an option may name.
 */
import { invalid, ok, type Parsed, quoted } from '../codecs/parse-result.js';
import { value } from './option.js';
import { checkedText } from './values.js';

const METADATA_PATTERN = '^[a-z0-9_.-]+$';
const METADATA_EXPECTED = 'a metadata key: lower-case letters, digits, "-", "_" and "."';

function readMetadataKey(key: string): Parsed<string> {
  if (!/^[a-z0-9_.-]{1,64}$/.test(key)) {
    const lower = key.toLowerCase();
    const hint = lower !== key && /^[a-z0-9_.-]{1,64}$/.test(lower) ? `; did you mean ${quoted(lower)}?` : '';
    return invalid(`found ${quoted(key)}; expected ${METADATA_EXPECTED}${hint}`);
  }
  if (key.startsWith('grpc-') || key.endsWith('-bin'))
    return invalid(
      `found ${quoted(key)}; expected a key that does not begin with "grpc-" or end with "-bin"`,
    );
  return ok(key);
}

/** A key of gRPC metadata in lower case, at most 64 characters; none of gRPC's own and no binary one. */
export function metadataKey() {
  return value(checkedText(METADATA_EXPECTED, METADATA_PATTERN, readMetadataKey), { type: 'metadata key' });
}
