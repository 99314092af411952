/**
 * The gRPC status codes that a route may name: in lower case, as words of the file.
 *
 * Worth another attempt may only be codes that another endpoint might answer differently. Asking again after INVALID_ARGUMENT or
 * NOT_FOUND gives the same answer at twice the cost, and after OK or CANCELLED the caller no longer waits for one.
 */
import { Status } from '../../core/outcome/status.js';

/** What a route may say the meaning of: all but OK. */
export type AnyStatus = Lowercase<Exclude<keyof typeof Status, 'OK'>>;

const BY_NAME = Object.fromEntries(
  Object.entries(Status)
    .filter(([name]) => name !== 'OK')
    .map(([name, code]) => [name.toLowerCase(), code]),
) as Record<AnyStatus, Status>;

/** All statuses but `ok`, in the order of their codes. */
export const ANY_STATUSES = Object.keys(BY_NAME) as [AnyStatus, ...AnyStatus[]];

export function statusCode(name: AnyStatus): Status {
  return BY_NAME[name];
}

/** Throws RangeError for a code that no file can name. */
export function statusSpelling(code: Status): AnyStatus {
  const name = ANY_STATUSES.find((candidate) => BY_NAME[candidate] === code);
  if (name === undefined) throw new RangeError(`not a status code that a route may name: ${code}`);
  return name;
}

/** Those that `retry.on` may name. */
export const RETRYABLE_STATUSES = [
  'unknown',
  'deadline_exceeded',
  'resource_exhausted',
  'aborted',
  'internal',
  'unavailable',
  'data_loss',
] as const satisfies readonly AnyStatus[];

/** Throws RangeError for a code that no file can name. */
export function retryableName(code: number): (typeof RETRYABLE_STATUSES)[number] {
  const name = RETRYABLE_STATUSES.find((candidate) => BY_NAME[candidate] === code);
  if (name === undefined) throw new RangeError(`not a status code worth another attempt: ${code}`);
  return name;
}
