import { constants, gunzipSync, inflateSync } from 'node:zlib';

/** Bytes that are inflated at a time, at most. */
export const MAX_INFLATED_BYTES = 64 * 1024;
/** Input of the first try: a name stands first, and rarely needs more. */
const FIRST_BYTES = 1024;
const FEWEST_BYTES = 16;
/**
 * An inflation costs as much as so many frames, some 30 to 100 µs: a peer that has a few hundred messages inflated, in 16 KB of DATA, has
 * had its share of the turn.
 */
export const INFLATION_FRAMES = 64;

/** The first bytes of an inflated message. */
export interface MessagePrefix {
  readonly bytes: Buffer;
  /** These are all bytes of the message. */
  readonly isWhole: boolean;
}

/** Whether the `grpc-encoding` is one that can be read: gzip or deflate. */
export function canInflate(encoding: string): boolean {
  return encoding === 'gzip' || encoding === 'deflate';
}

/**
 * Longer and longer prefixes of a compressed message of which `bytes` has come, for a reader of its model name; `isAll`:
 * that is all of it. Bounded: what inflates to more than `MAX_INFLATED_BYTES` is tried with less of the input, so that a
 * message costs a few inflations of that size at most. gRPC's `deflate` is zlib's format (RFC 1950). Ends early when the
 * bytes are not in that format.
 */
export function* inflatedPrefixes(encoding: string, bytes: Buffer, isAll: boolean): Generator<MessagePrefix> {
  const inflate = encoding === 'gzip' ? gunzipSync : inflateSync;
  let tooMany = Number.POSITIVE_INFINITY;
  let given = Math.min(FIRST_BYTES, bytes.length);
  while (given >= Math.min(FEWEST_BYTES, bytes.length) && given < tooMany) {
    const isWhole = isAll && given === bytes.length;
    try {
      const inflated = inflate(bytes.subarray(0, given), {
        finishFlush: isWhole ? constants.Z_FINISH : constants.Z_SYNC_FLUSH,
        maxOutputLength: MAX_INFLATED_BYTES,
      });
      yield { bytes: inflated, isWhole };
      if (given === bytes.length) return;
      given = Math.min(given * 2, bytes.length);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ERR_BUFFER_TOO_LARGE') return;
      tooMany = given;
      given >>>= 1;
    }
  }
}

/** All of a compressed message, by one inflation. `long`: it has more than `MAX_INFLATED_BYTES`; `broken`: it is not in that format. */
export function inflateWhole(encoding: string, bytes: Buffer): Buffer | 'long' | 'broken' {
  const inflate = encoding === 'gzip' ? gunzipSync : inflateSync;
  try {
    return inflate(bytes, { maxOutputLength: MAX_INFLATED_BYTES });
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE' ? 'long' : 'broken';
  }
}
