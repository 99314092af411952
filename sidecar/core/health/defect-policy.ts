/** A line with a stack is written once in this time. */
const LOG_GAP_MS = 60_000;
/** So many defects within `WINDOW_MS` are too many: the process is not what it should be. */
const MOST = 5;
const WINDOW_MS = 60_000;

/** What follows from a defect. */
export interface DefectVerdict {
  readonly isLogged: boolean;
  /** Defects since the last line that had none. */
  readonly unloggedBefore: number;
  /** The process is to drain and exit. */
  readonly isUnsafe: boolean;
}

/**
 * What follows from an exception that nobody expected, a defect of this program. One that ended a single connection or call is
 * counted, and logged once a minute. One that could not be contained, and the fifth within a minute, end the process in
 * an orderly way. Times are monotonic ms.
 */
export class DefectPolicy {
  /** The last `MOST` of them, oldest first. */
  private readonly times: number[] = [];
  private loggedMs = Number.NEGATIVE_INFINITY;
  private unlogged = 0;
  private wasUnsafe = false;

  record(nowMs: number, isContained: boolean): DefectVerdict {
    const { times } = this;
    times.push(nowMs);
    if (times.length > MOST) times.shift();
    const areMany = times.length === MOST && nowMs - times[0]! < WINDOW_MS;
    const isUnsafe = !isContained || areMany;
    const isFirst = isUnsafe && !this.wasUnsafe;
    this.wasUnsafe ||= isUnsafe;
    const isLogged = isFirst || nowMs - this.loggedMs >= LOG_GAP_MS;
    const unloggedBefore = this.unlogged;
    this.unlogged = isLogged ? 0 : unloggedBefore + 1;
    if (isLogged) this.loggedMs = nowMs;
    return { isLogged, unloggedBefore, isUnsafe };
  }
}
