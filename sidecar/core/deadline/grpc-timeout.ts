/** Longer times are cut to this, ms (about 24.8 days): the longest that timers hold. */
export const MAX_TIMEOUT_MS = 2_147_483_647;

const MAX_DIGITS = 8;
const MAX_VALUE = 99_999_999;
/** Below this, rounding to whole milliseconds would lose more than one per cent, ms. */
const FINE_BELOW_MS = 100;

/**
 * Value of `grpc-timeout` in ms, perhaps fractional; NaN when malformed. TimeoutValue of at most eight digits and a unit H, M, S, m,
 * u or n (grpc doc/PROTOCOL-HTTP2.md). Zero is accepted, though not allowed there: no time is left.
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
 * The header value for `leftMs`: rounded down by at most one per cent, so that a hop never adds time, and never zero, which a peer
 * might read as no limit. Nothing left, less than a nanosecond, and NaN become `1n`.
 */
export function formatGrpcTimeout(leftMs: number): string {
  if (leftMs >= FINE_BELOW_MS) {
    const ms = Math.floor(Math.min(leftMs, MAX_TIMEOUT_MS));
    return ms <= MAX_VALUE ? `${ms}m` : `${Math.floor(ms / 1_000)}S`;
  }
  if (leftMs >= 0.1) return `${Math.floor(leftMs * 1_000)}u`;
  const nanos = Math.floor(leftMs * 1_000_000);
  return nanos >= 1 ? `${nanos}n` : '1n';
}
