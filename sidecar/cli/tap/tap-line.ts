import type { Palette } from '../terminal.js';

/** A call as `/tap` sends it: of the fields of an access log line those that are shown here. Those that do not apply are absent. */
export interface TappedCall {
  readonly time: string;
  readonly direction: 'inbound' | 'outbound';
  readonly service?: string;
  readonly upstream?: string;
  readonly method: string;
  readonly caller?: string;
  readonly status: string;
  readonly reason?: string;
  readonly degraded?: string;
  readonly mirrored?: boolean;
  readonly ms: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly trace?: string;
  readonly attempts: readonly TappedAttempt[];
}

/** One attempt of it; `atMs` is when it began, after the call. */
interface TappedAttempt {
  /** Its address, and the name of its instance where it has one. */
  readonly endpoint: string;
  readonly name?: string;
  readonly resumedAfter?: number;
  readonly waitedMs?: number;
  readonly ended: string;
  readonly status?: string;
  readonly reason?: string;
  readonly atMs: number;
  readonly ms: number;
}

/**
 * A call as a line: time, sidecar, caller and callee, how it ended, how long it took, and the endpoints that were tried, each with its time. An attempt
 * that succeeded alone needs no more than its endpoint.
 */
export function tapLine(sidecar: string, call: TappedCall, palette: Palette): string {
  const { direction, method, status, reason, degraded, ms, attempts } = call;
  const to = direction === 'inbound' ? (call.service ?? '') : (call.upstream ?? '');
  const isGood = status === 'OK';
  const why = [
    reason,
    degraded === undefined ? undefined : `from ${degraded}`,
    call.mirrored === true ? 'a copy' : undefined,
  ]
    .filter((each) => each !== undefined)
    .join(', ');
  const outcome = why === '' ? status : `${status} (${why})`;
  return [
    palette.dim(call.time.slice(11, 23)),
    sidecar,
    direction === 'inbound' ? '←' : '→',
    `${call.caller ?? '?'} ${direction === 'inbound' ? 'to' : 'calls'} ${to}`,
    method.slice(method.lastIndexOf('/') + 1),
    isGood && why === '' ? palette.green(outcome) : isGood ? palette.yellow(outcome) : palette.red(outcome),
    `${ms} ms`,
    `${call.requestBytes}/${call.responseBytes} B`,
    ...attemptsText(attempts),
  ].join('  ');
}

/**
 * What the attempts say beyond the call itself. One that succeeded alone and at once took as long as the call, so its endpoint is enough; the
 * local model of an inbound call goes without saying. A call without an attempt was answered by the sidecar.
 */
function attemptsText(attempts: readonly TappedAttempt[]): string[] {
  const [first] = attempts;
  if (first === undefined) return ['no attempt'];
  if (attempts.length === 1 && first.status === 'OK' && first.waitedMs === undefined)
    return [first.endpoint === 'local' ? '' : placeOf(first)].filter(Boolean);
  return attempts.map((attempt) => {
    const { ended, status = ended, reason, resumedAfter, waitedMs, atMs, ms } = attempt;
    const resumed = resumedAfter === undefined ? undefined : `resumed after ${resumedAfter}`;
    const waited = waitedMs === undefined ? undefined : `waited ${waitedMs} ms for a connection`;
    const how = [status, reason, resumed, waited].filter((word) => word !== undefined).join(', ');
    return `[${placeOf(attempt)} ${how}, ${ms} ms from ${atMs}]`;
  });
}

/** By the name that `outrider status` shows. */
function placeOf({ name, endpoint }: TappedAttempt): string {
  return name ?? endpoint;
}
