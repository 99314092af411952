/** A timer that has been started. */
export interface Timer {
  /** Stops it. Calling it again, or after it has fired, does nothing. */
  cancel(): void;
}

export interface TimerOptions {
  /** `true`: this timer alone does not keep the process alive. Default `false`. */
  readonly unref?: boolean;
}

/**
 * Starts timers, for rare events: reloads, probes, restarts. Calls use the timing wheel, which
 * needs one system timer for all their deadlines.
 */
export interface Timers {
  /** Calls `fn` once, `delayMs` (≥ 0) from now, never within this turn of the event loop. */
  after(delayMs: number, fn: () => void, options?: TimerOptions): Timer;
  /** Calls `fn` every `periodMs` (≥ 1), the first time one period from now. */
  every(periodMs: number, fn: () => void, options?: TimerOptions): Timer;
}

/** Longest delay of `setTimeout`; Node turns a longer one into 1 ms, with a warning. */
export const MAX_DELAY_MS = 2_147_483_647;

class Once implements Timer {
  private handle: NodeJS.Timeout;

  constructor(
    private leftMs: number,
    private readonly fn: () => void,
    private readonly isUnref: boolean,
  ) {
    this.handle = this.arm();
  }

  cancel(): void {
    clearTimeout(this.handle);
  }

  private arm(): NodeJS.Timeout {
    const delayMs = Math.min(this.leftMs, MAX_DELAY_MS);
    this.leftMs -= delayMs;
    const handle = setTimeout(() => {
      if (this.leftMs > 0) this.handle = this.arm();
      else this.fn();
    }, delayMs);
    if (this.isUnref) handle.unref();
    return handle;
  }
}

/** Node's timers, also for delays beyond `MAX_DELAY_MS`. */
export const systemTimers: Timers = {
  after(delayMs, fn, options) {
    if (!(delayMs >= 0)) throw new RangeError(`timer delay must be at least 0 ms, not ${delayMs}`);
    return new Once(delayMs, fn, options?.unref === true);
  },
  every(periodMs, fn, options) {
    if (!(periodMs >= 1 && periodMs <= MAX_DELAY_MS))
      throw new RangeError(`timer period must be 1 to ${MAX_DELAY_MS} ms, not ${periodMs}`);
    const handle = setInterval(fn, periodMs);
    if (options?.unref === true) handle.unref();
    return { cancel: () => clearInterval(handle) };
  },
};
