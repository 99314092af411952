/** When the calls of a run begin: the last ones come when the others are over. */
import type { ManualClock } from '../../kit/time/manual-clock.js';
import { LAST_CALLS_MS, type Plan } from '../plan/plan.js';
import type { CallRecord } from './records.js';

/** A call under way moves within this, ms: longer than readers stop and models work. */
const STILL_MS = 20_000;
const LOOK_MS = 1_000;
/** The last calls are put off by this at most, ms. */
const MOST_LATE_MS = 300_000;

/**
 * The last calls show whether the mesh is as it was before all faults, so they must not queue behind what the plan has asked for. Large calls on
 * slow links, slow readers and applications with few streams can need minutes. A call that stands still is not waited for.
 */
export class LastCalls {
  /** How much later than planned they begin, ms. The run ends so much later, too. */
  lateMs = 0;
  private readonly others: readonly CallRecord[];
  private readonly last: readonly CallRecord[];

  /** When they begin by the plan, from its first moment on, ms. */
  private readonly plannedMs: number;

  constructor(
    { forMs }: Plan,
    records: readonly CallRecord[],
    private readonly clock: ManualClock,
    private readonly begin: (record: CallRecord) => void,
  ) {
    this.plannedMs = forMs + LAST_CALLS_MS;
    this.others = records.filter(({ plan }) => plan.isLast !== true);
    this.last = records.filter(({ plan }) => plan.isLast === true);
  }

  /** Schedules all calls, and the last ones once the others are over. */
  schedule(): void {
    for (const record of this.others) this.clock.after(record.plan.atMs, () => this.begin(record));
    this.clock.after(this.plannedMs, () => this.look());
  }

  private look(): void {
    if (this.lateMs < MOST_LATE_MS && this.isMoving()) {
      this.lateMs += LOOK_MS;
      this.clock.after(LOOK_MS, () => this.look());
      return;
    }
    for (const record of this.last)
      this.clock.after(Math.max(0, record.plan.atMs - this.plannedMs), () => this.begin(record));
  }

  /** Whether calls are under way, and one of them has moved lately. */
  private isMoving(): boolean {
    const sinceMs = this.clock.now() - STILL_MS;
    return this.others.some(({ endMs, movedMs }) => endMs < 0 && movedMs >= sinceMs);
  }
}
