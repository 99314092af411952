import { type Finding, failed, ok, warning } from './finding.js';

/** Below this a sidecar with some hundred connections runs out of descriptors. */
const FEW_DESCRIPTORS = 1_024;
/** From here on the limit is out of the way of a busy service. */
const ENOUGH_DESCRIPTORS = 8_192;

/** The limit of open files; Node raises the soft limit to the hard one, so this is the hard one. */
export function checkDescriptors(limit: number): Finding {
  const next = 'raise it: `ulimit -n 65536`, LimitNOFILE= of systemd, --ulimit nofile of a container';
  if (!Number.isFinite(limit)) return ok('files', 'the limit of open files is not known on this system');
  if (limit < FEW_DESCRIPTORS) return failed('files', `only ${limit} files may be open`, next);
  if (limit < ENOUGH_DESCRIPTORS)
    return warning('files', `${limit} files may be open, and each connection takes one`, next);
  return ok('files', `${limit} files may be open`);
}

/** Differences of clocks beyond these matter: for time limits, and for certificates that have just been issued. */
const SKEW_MS = 5_000;
const FAR_SKEW_MS = 60_000;

/**
 * A peer's clock against ours.
 *
 * @param date its `Date` header, of a resolution of 1 s; undefined: it sent none.
 * @param wallNowMs our clock when it was sent.
 */
export function checkClock(of: string, date: string | undefined, wallNowMs: number): Finding[] {
  const theirs = date === undefined ? Number.NaN : Date.parse(date);
  if (Number.isNaN(theirs)) return [];
  const skew = wallNowMs - theirs;
  const next = 'set the clocks by NTP: `timedatectl`, `chronyc tracking`';
  const what = `the clock of ${of} is ${Math.round(Math.abs(skew) / 1_000)} s ${skew > 0 ? 'behind' : 'ahead of'} ours`;
  if (Math.abs(skew) > FAR_SKEW_MS) return [failed('clock', what, next)];
  if (Math.abs(skew) > SKEW_MS) return [warning('clock', what, next)];
  return [ok('clock', `the clock of ${of} agrees with ours`)];
}
