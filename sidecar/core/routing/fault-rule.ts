import type { Status } from '../outcome/status.js';
import { matchesMethod } from './method.js';

/** Faults active at a time. */
export const MAX_FAULTS = 32;

/** A fault to inject (Envoy's fault filter): delay, abort, or both. */
export interface FaultRule {
  /** `inbound`: calls of peers. `outbound`: calls of the local application. */
  readonly side: 'inbound' | 'outbound';
  /** Inbound: the verified caller. Outbound: the upstream as the application names it. Absent: all. */
  readonly peer?: string;
  /** `/package.Service/Method`, `/package.Service/*` or `*`. */
  readonly method: string;
  /** Share of the calls, above 0, at most 1. */
  readonly ratio: number;
  /** Delay before the call or its abort, ms; 0: none. */
  readonly delayMs: number;
  readonly abort?: Status;
}

/** An injected fault. It has an end, so that a forgotten drill is over by itself. */
export class ActiveFault {
  /** Calls that got it. */
  injected = 0;

  constructor(
    readonly id: number,
    readonly rule: FaultRule,
    readonly untilMs: number,
  ) {}

  /** Whether this call gets the fault. `random` is called only for calls that match. */
  applies(peer: string, path: string, nowMs: number, random: () => number): boolean {
    const { rule } = this;
    if (nowMs >= this.untilMs || (rule.peer !== undefined && rule.peer !== peer)) return false;
    return matchesMethod(rule.method, path) && random() < rule.ratio;
  }
}

/** The first fault that applies to a call; each that matches has a chance of its own. */
export function findFault(
  faults: readonly ActiveFault[],
  peer: string,
  path: string,
  nowMs: number,
  random: () => number,
): ActiveFault | undefined {
  for (const fault of faults) {
    if (!fault.applies(peer, path, nowMs, random)) continue;
    fault.injected++;
    return fault;
  }
  return undefined;
}
