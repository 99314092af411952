/**
 * Timers as an argument. For rare events: reloads, probes, restarts. Calls do not use these but the timing
 * wheel, which needs one of them at a time however many deadlines there are.
 */

export interface Timer {
  /** Stops it. Calling it again, or after it has fired, does nothing. */
  cancel(): void;
}

export interface TimerOptions {
  /** `true`: this timer alone does not keep the process alive. Default `false`. */
  readonly unref?: boolean;
}

export interface Timers {
  /** Calls `fn` once, `delayMs` (≥ 0) from now, never within this turn of the event loop. */
  after(delayMs: number, fn: () => void, options?: TimerOptions): Timer;
  /** Calls `fn` every `periodMs` (≥ 1), the first time one period from now. */
  every(periodMs: number, fn: () => void, options?: TimerOptions): Timer;
}

/** Node turns any longer delay into 1 ms, with a warning. */
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

export const systemTimers: Timers = {
  after(delayMs, fn, options) {
    if (!(delayMs >= 0)) throw new RangeError(`timer delay must be at least 0 ms, not ${delayMs}`);
    return new Once(delayMs, fn, options?.unref === true);
  },
  every(periodMs, fn, options) {
    if (!(periodMs >= 1 && periodMs <= MAX_DELAY_MS)) {
      throw new RangeError(`timer period must be 1 to ${MAX_DELAY_MS} ms, not ${periodMs}`);
    }
    const handle = setInterval(fn, periodMs);
    if (options?.unref === true) handle.unref();
    return { cancel: () => clearInterval(handle) };
  },
};
