/**
 * A status message travels in a header, where what is not printable ASCII takes three bytes each; names out of a request
 * may be megabytes. Clients take 8 KiB of headers in all (gRPC's default).
 */

const MAX_DETAILS = 1000;
const MAX_ENCODED_DETAILS = 3000;

/** The message of a status, cut to what a header can carry. */
export function detailsOf(message: string): string {
  // A lone surrogate would make the transport's percent-encoding throw.
  return clip(message).replace(/[\ud800-\udfff]/gu, '\ufffd');
}

/** A value of trailing metadata: printable ASCII, cut likewise. */
export function trailerValue(value: string): string {
  return clip(value).replace(/[^ -~]/g, '?');
}

/** At most `MAX_DETAILS` characters and `MAX_ENCODED_DETAILS` bytes once encoded; an ellipsis says that something is missing. */
export function clip(text: string): string {
  const clipped = text.length <= MAX_DETAILS ? text : `${text.slice(0, MAX_DETAILS)}…`;
  let end = 0;
  let bytes = 0;
  for (const character of clipped) {
    bytes += /[ -$&-~]/.test(character) ? 1 : 3 * Buffer.byteLength(character);
    if (bytes > MAX_ENCODED_DETAILS) return `${clipped.slice(0, end)}…`;
    end += character.length;
  }
  return clipped;
}
