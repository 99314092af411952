/**
 * What the network of magika sees of a file: its first and its last bytes, without the white space around them. The
 * package's own extraction in other words (`_extract_features_from_seekable` of magika 1.0.3).
 */

/** How the network wants its input: a part of `config.min.json` of the package. */
export interface FeatureConfig {
  /** Bytes taken from the beginning. */
  readonly beg_size: number;
  /** Bytes taken from the middle; only 0 is known here. */
  readonly mid_size: number;
  /** Bytes taken from the end. */
  readonly end_size: number;
  /** Only false is known here. */
  readonly use_inputs_at_offsets: boolean;
  /** Stands where there are too few bytes. */
  readonly padding_token: number;
  /** Beyond so many bytes from the beginning, and before so many from the end, nothing is looked at. */
  readonly block_size: number;
  /** A file of fewer bytes, white space apart at its beginning, is not shown to the network. */
  readonly min_file_size_for_dl: number;
}

/** Throws an Error for a network that wants what is not extracted here. */
export function requireKnown(config: FeatureConfig): void {
  const { beg_size, mid_size, end_size, block_size, use_inputs_at_offsets } = config;
  if (mid_size !== 0 || use_inputs_at_offsets || beg_size >= block_size || end_size >= block_size)
    throw new Error(
      `magika: found mid_size ${mid_size}, use_inputs_at_offsets ${use_inputs_at_offsets} and blocks of ${block_size}; expected 0, false, and more than ${beg_size} and ${end_size}`,
    );
}

/** Number of features of a file. */
export const featureCount = ({ beg_size, end_size }: FeatureConfig): number => beg_size + end_size;

/** The features of a file; undefined when too little is in it for the network. */
export function featuresOf(content: Uint8Array, config: FeatureConfig): Int32Array | undefined {
  const { beg_size: first, end_size: last, block_size: block, min_file_size_for_dl: least } = config;
  if (content.length < least) return undefined;
  const head = content.subarray(0, block);
  const tail = content.subarray(Math.max(0, content.length - block));
  const begin = head.subarray(spaceBefore(head)).subarray(0, first);
  if (begin.length < least) return undefined;
  const trimmed = tail.subarray(0, tail.length - spaceBehind(tail));
  const end = trimmed.subarray(Math.max(0, trimmed.length - last));
  const features = new Int32Array(first + last).fill(config.padding_token);
  features.set(begin, 0);
  features.set(end, first + last - end.length);
  return features;
}

function spaceBefore(bytes: Uint8Array): number {
  const start = bytes.findIndex((byte) => !isSpace(byte));
  return start < 0 ? bytes.length : start;
}

function spaceBehind(bytes: Uint8Array): number {
  return bytes.length - 1 - bytes.findLastIndex((byte) => !isSpace(byte));
}

/** White space of ASCII: tab, line feed, vertical tab, form feed, carriage return, space. */
function isSpace(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
}
