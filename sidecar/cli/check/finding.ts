/** How bad a finding is: `warning` works now and may not for long; `failed` stands in the way of calls. */
export type Level = 'ok' | 'warning' | 'failed';

/** One line of `outrider check`. */
export interface Finding {
  readonly level: Level;
  /** The area, one word, by which lines are grouped: `config`, `port`, `clock` … */
  readonly area: string;
  /** What was looked at and what was found, one sentence without a full stop. */
  readonly what: string;
  /** The next step; absent when ok. */
  readonly next?: string;
  /** The call that it is about, as `callName` writes it; not shown. */
  readonly call?: string;
}

/** Nothing to do. */
export function ok(area: string, what: string): Finding {
  return { level: 'ok', area, what };
}

/** Works, and needs attention. */
export function warning(area: string, what: string, next: string): Finding {
  return { level: 'warning', area, what, next };
}

/** Does not work. */
export function failed(area: string, what: string, next: string): Finding {
  return { level: 'failed', area, what, next };
}
