/**
 * Durations: a number and its unit, "250ms", "1.5s", "5m", "1h"; or `none` where an option allows it.
 *
 * A bare number is refused: it could be milliseconds or seconds. Inside the sidecar
 * a duration is a whole number of milliseconds, and `none` is 0.
 */
import { invalid, ok, type Parsed, quoted } from './parse-result.js';

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;
type Unit = keyof typeof UNIT_MS;

/** The noun phrase for messages. */
export const DURATION_EXPECTED = 'a duration with its unit, such as "250ms", "15s", "5m" or "1h"';
/** For the JSON Schema; `readDuration` is what decides. */
export const DURATION_PATTERN = '^[0-9]+(\\.[0-9]+)?(ms|s|m|h)$';

const SHAPE = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/;
const NEARLY =
  /^\s*(\d+(?:\.\d+)?)\s*(milliseconds?|msecs?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)\s*$/i;

/** Whole milliseconds. `expected` is the noun phrase for the message. */
export function readDuration(text: string, expected: string = DURATION_EXPECTED): Parsed<number> {
  const match = SHAPE.exec(text);
  if (match === null) return invalid(`found ${quoted(text)}; expected ${expected}${nearMiss(text)}`);
  const exact = Number(match[1]) * UNIT_MS[match[2] as Unit];
  const ms = Math.round(exact);
  if (Math.abs(exact - ms) > 1e-6)
    return invalid(`found ${quoted(text)}; expected a whole number of milliseconds`);
  if (!Number.isSafeInteger(ms)) return invalid(`found ${quoted(text)}; expected a shorter duration`);
  return ok(ms);
}

/** The shortest exact spelling: 90 000 is "90s", 3 600 000 is "1h". Throws RangeError for what no file can say. */
export function writeDuration(ms: number): string {
  if (!Number.isSafeInteger(ms) || ms < 0) throw new RangeError(`not a whole number of milliseconds: ${ms}`);
  if (ms === 0) return '0ms';
  const units: Unit[] = ['h', 'm', 's'];
  const unit = units.find((candidate) => ms % UNIT_MS[candidate] === 0) ?? 'ms';
  return `${ms / UNIT_MS[unit]}${unit}`;
}

function nearMiss(text: string): string {
  const match = NEARLY.exec(text);
  if (match === null) return '';
  const amount = match[1] ?? '';
  const word = (match[2] ?? '').toLowerCase();
  if (word.startsWith('d')) return `; did you mean "${Number(amount) * 24}h"?`;
  const unit = word.startsWith('mil') || word.startsWith('ms') ? 'ms' : word.charAt(0);
  return `; did you mean "${amount}${unit}"?`;
}
