/**
 * Faults put in on purpose, for drills: which calls are delayed, aborted or both. Each fault has an end, so that a drill
 * that somebody forgot is over by itself.
 */

import type { Status } from '../outcome/status.js';
import { matchesMethod } from './method.js';

/** Of more nobody would know what is going on. */
export const MAX_FAULTS = 32;

export interface FaultRule {
  /** `inbound`: calls of peers. `outbound`: calls of the local application. */
  readonly side: 'inbound' | 'outbound';
  /** Inbound: the verified caller. Outbound: the upstream as the application named it. Absent: every one. */
  readonly peer?: string;
  /** `/package.Service/Method`, `/package.Service/*` or `*`. */
  readonly method: string;
  /** Share of the calls, above 0. */
  readonly ratio: number;
  /** 0: none. It comes before the abort. */
  readonly delayMs: number;
  readonly abort?: Status;
}

/** One that is on. */
export class ActiveFault {
  /** Calls it has struck. */
  injected = 0;

  constructor(
    readonly id: number,
    readonly rule: FaultRule,
    readonly untilMs: number,
  ) {}

  private matches(who: string, path: string): boolean {
    const { rule } = this;
    return (rule.peer === undefined || rule.peer === who) && matchesMethod(rule.method, path);
  }

  /** Chance is asked only for calls it is about. */
  applies(who: string, path: string, nowMs: number, random: () => number): boolean {
    return nowMs < this.untilMs && this.matches(who, path) && random() < this.rule.ratio;
  }
}

/** The first that strikes a call; each of those it is about has its own chance. */
export function findFault(
  faults: readonly ActiveFault[],
  who: string,
  path: string,
  nowMs: number,
  random: () => number,
): ActiveFault | undefined {
  for (const fault of faults) {
    if (!fault.applies(who, path, nowMs, random)) continue;
    fault.injected++;
    return fault;
  }
  return undefined;
}
