import { DefectPolicy } from '../core/health/defect-policy.js';
import type { Logger } from '../runtime/log/logger.js';
import type { Clock } from '../runtime/time/clock.js';
import { WheelTimer } from '../runtime/time/timing-wheel.js';
import type { StatsRegistry } from '../telemetry/call-stats.js';

/** What an exception in its handling ends: a connection or a call. */
export interface Containable {
  /** Ends it by the ordinary path, so that all it holds is given back. A throw of this ends the process. */
  giveUp(): void;
}

/** Of the last defect, for `/endpoints`. */
export interface LastDefect {
  readonly message: string;
  readonly atMs: number;
}

/** Calls of `giveUp` inside each other, at most. */
const MOST_NESTED = 4;

/**
 * Where exceptions end that nobody expected: defects of this program. Each entry of the data plane (a read, a flush, a timer, an
 * accepted socket, the turn of a call that waited) hands them here with the connection or call that it was working for,
 * which ends, and no other. One without such an owner, one in the middle of that end, and too many of them make the process
 * drain and exit (`DefectPolicy`).
 */
export class Containment {
  /**
   * Set by the owner of the process, with why it cannot go on; called again for what could not be contained since. Null: the
   * exception ends the process.
   */
  onUnsafe: ((why: string, error: unknown) => void) | null = null;
  /** Why the process is about to end; empty: it is not. */
  unsafe = '';
  last: LastDefect | null = null;
  private readonly policy = new DefectPolicy();
  private nested = 0;

  constructor(
    private readonly stats: StatsRegistry,
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {}

  /** `what` was worked for as `error` was thrown. What cannot be given up has no owner. */
  contain(what: object | null, error: unknown): void {
    this.stats.defects++;
    const owner = ownerOf(what);
    const isContained = owner !== null && this.giveUp(owner);
    const nowMs = this.clock.now();
    this.last = { message: error instanceof Error ? error.message : String(error), atMs: nowMs };
    const { isLogged, unloggedBefore, isUnsafe } = this.policy.record(nowMs, isContained);
    if (isUnsafe) this.escalate(isContained, error);
    const more = unloggedBefore > 0 ? { unloggedBefore } : {};
    if (isLogged) this.logger.error({ error, ...more }, `defect: ${wordsFor(isContained, isUnsafe)}`);
  }

  /** False: it threw as well, or this happened while another one was given up. */
  private giveUp(owner: Containable): boolean {
    if (this.nested >= MOST_NESTED) return false;
    const isFirst = this.nested++ === 0;
    try {
      owner.giveUp();
      return isFirst;
    } catch (error) {
      this.logger.error({ error }, 'defect: what failed could not be ended');
      return false;
    } finally {
      this.nested--;
    }
  }

  private escalate(isContained: boolean, error: unknown): void {
    // While the process drains, only what cannot be contained either is news.
    if (this.unsafe !== '' && isContained) return;
    this.unsafe = isContained ? 'too many internal errors' : 'an internal error that could not be contained';
    if (this.onUnsafe !== null) return this.onUnsafe(this.unsafe, error);
    // Nobody handles it: the program ends.
    void Promise.reject(error);
  }
}

function ownerOf(what: object | null): Containable | null {
  const owner = what instanceof WheelTimer ? what.owner : what;
  return owner !== null && typeof (owner as Partial<Containable>).giveUp === 'function'
    ? (owner as Containable)
    : null;
}

function wordsFor(isContained: boolean, isUnsafe: boolean): string {
  if (!isContained) return 'it could not be contained, and this process ends';
  return isUnsafe
    ? 'there are too many, and this process ends'
    : 'the connection or call that was worked for was ended';
}
