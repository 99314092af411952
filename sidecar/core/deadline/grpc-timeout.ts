/**
 * The `grpc-timeout` header in both directions. Source: grpc doc/PROTOCOL-HTTP2.md: TimeoutValue, at most
 * eight digits, then one unit H M S m u n. Written values are rounded down, so that a hop never adds time.
 */

/** Longer times are cut to this (about 24.8 days), the longest that timers anywhere can hold. */
export const MAX_TIMEOUT_MS = 2_147_483_647;

const MAX_DIGITS = 8;
const MAX_VALUE = 99_999_999;
/** Below this, whole milliseconds would cost more than one per cent of the time left. */
const FINE_BELOW_MS = 100;
const MEMO_SIZE = 16_384;
const memo: (string | undefined)[] = new Array<string | undefined>(MEMO_SIZE).fill(undefined);

/**
 * Milliseconds, perhaps fractional; NaN when malformed. Zero is taken at its word, though the specification asks
 * for a positive number: the caller has no time left.
 */
export function parseGrpcTimeout(value: string): number {
  const digits = value.length - 1;
  if (digits < 1 || digits > MAX_DIGITS) return Number.NaN;
  let amount = 0;
  for (let i = 0; i < digits; i += 1) {
    const digit = value.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return Number.NaN;
    amount = amount * 10 + digit;
  }
  switch (value.charCodeAt(digits)) {
    case 0x6d: // m
      return amount;
    case 0x53: // S
      return Math.min(amount * 1_000, MAX_TIMEOUT_MS);
    case 0x75: // u
      return amount / 1_000;
    case 0x6e: // n
      return amount / 1_000_000;
    case 0x4d: // M
      return Math.min(amount * 60_000, MAX_TIMEOUT_MS);
    case 0x48: // H
      return Math.min(amount * 3_600_000, MAX_TIMEOUT_MS);
    default:
      return Number.NaN;
  }
}

/**
 * The header value for `leftMs`: never more than is left, at most one per cent less, never zero (a peer might
 * read that as none). Nothing left, or less than a nanosecond, becomes `1n`. NaN too: no time can be promised.
 */
export function formatGrpcTimeout(leftMs: number): string {
  if (leftMs >= FINE_BELOW_MS) {
    if (leftMs < MEMO_SIZE) {
      const ms = Math.floor(leftMs);
      const known = memo[ms];
      if (known !== undefined) return known;
      const text = `${ms}m`;
      memo[ms] = text;
      return text;
    }
    const ms = Math.floor(Math.min(leftMs, MAX_TIMEOUT_MS));
    return ms <= MAX_VALUE ? `${ms}m` : `${Math.floor(ms / 1_000)}S`;
  }
  if (leftMs >= 0.1) return `${Math.floor(leftMs * 1_000)}u`;
  const nanos = Math.floor(leftMs * 1_000_000);
  return nanos >= 1 ? `${nanos}n` : '1n';
}
