/** Time in which a suspicion halves that nothing new supports, ms. */
const HALF_LIFE_MS = 20_000;
/** A suspicion begins at the first and ends below the second, so that it does not flap. */
const BEGINS = 0.5;
const ENDS = 0.25;

/** What changed with an update. */
export type SuspicionChange = 'rose' | 'fell' | undefined;

/** How much an endpoint is suspected of being about to fail, 0 to 1. It follows evidence up at once, and fades without it. */
export class Suspicion {
  value = 0;
  isSuspect = false;
  /** Index of the detector that brought the highest evidence, and its reason. */
  detector = 0;
  why = '';
  private atMs = 0;

  /** @param level of the present evidence, 0 to 1: ½ is an alarm. */
  update(level: number, detector: number, why: () => string, nowMs: number): SuspicionChange {
    const faded = this.value * 2 ** (-Math.max(0, nowMs - this.atMs) / HALF_LIFE_MS);
    this.atMs = nowMs;
    this.value = faded < 0.01 ? 0 : faded;
    if (level >= this.value && level > 0) {
      this.value = Math.min(1, level);
      this.detector = detector;
      if (level >= ENDS) this.why = why();
    }
    if (!this.isSuspect && this.value >= BEGINS) {
      this.isSuspect = true;
      return 'rose';
    }
    if (this.isSuspect && this.value < ENDS) {
      this.isSuspect = false;
      return 'fell';
    }
    return undefined;
  }

  clear(): void {
    this.value = 0;
    this.isSuspect = false;
    this.why = '';
  }
}
