import { OutcomeWindow } from './outcome-window.js';

/** Length of a bucket of inspected responses, ms: they are sampled, so their window is longer than that of outcomes. */
export const OUTPUT_BUCKET_MS = 6_000;
/** Of the latest responses, those that are remembered one by one; fewer than the bits of a number. */
export const LATEST = 20;
const MASK = 2 ** LATEST - 1;

/**
 * Inspected responses of the last 60 s, and the latest 20 one by one. A minute of good responses outweighs everything that a
 * model does wrong in the seconds after it broke; the latest ones show that, whatever was before.
 */
export class OutputWindow extends OutcomeWindow {
  /** One bit for each of the latest, the last one lowest; 1: invalid. */
  private bits = 0;
  private remembered = 0;

  constructor() {
    super(OUTPUT_BUCKET_MS);
  }

  /** How many of the latest 20 are invalid; 0 while there are fewer than 20. */
  get latestFaults(): number {
    if (this.remembered < LATEST) return 0;
    let faults = 0;
    for (let { bits } = this; bits !== 0; bits &= bits - 1) faults += 1;
    return faults;
  }

  override success(nowMs: number): void {
    super.success(nowMs);
    this.remember(0);
  }

  override fault(nowMs: number): void {
    super.fault(nowMs);
    this.remember(1);
  }

  override clear(): void {
    super.clear();
    this.bits = 0;
    this.remembered = 0;
  }

  private remember(bit: 0 | 1): void {
    this.bits = ((this.bits << 1) | bit) & MASK;
    if (this.remembered < LATEST) this.remembered += 1;
  }
}
