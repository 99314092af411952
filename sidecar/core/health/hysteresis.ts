/**
 * A verdict that does not flap: it takes several bad samples in a row to lose it, fewer good ones to win it back, and
 * what is known for certain changes it at once. Consul's own thresholds do not apply to checks that report by
 * themselves (TTL), so they are kept here.
 */

export interface HysteresisSettings {
  /** Bad samples in a row until the verdict is bad. Default 2. */
  readonly unhealthyThreshold?: number;
  /** Good samples in a row until it is good again. Default 1. */
  readonly healthyThreshold?: number;
}

export class Hysteresis {
  private readonly failureStreak: number;
  private readonly successStreak: number;
  /** Samples in a row that speak against the verdict. */
  private against = 0;

  /** @param isGood the verdict before the first sample. */
  constructor(
    public isGood: boolean,
    settings: HysteresisSettings = {},
  ) {
    this.failureStreak = settings.unhealthyThreshold ?? 2;
    this.successStreak = settings.healthyThreshold ?? 1;
  }

  /** Whether samples speak against the verdict, though not yet enough of them. */
  get isInDoubt(): boolean {
    return this.against > 0;
  }

  /** One sample. True when it changed the verdict. */
  sample(isGood: boolean): boolean {
    if (isGood === this.isGood) {
      this.against = 0;
      return false;
    }
    this.against += 1;
    return this.against >= (isGood ? this.successStreak : this.failureStreak) && this.set(isGood);
  }

  /** What needs no second sample: the process is dead. True when it changed the verdict. */
  set(isGood: boolean): boolean {
    const changes = isGood !== this.isGood;
    this.isGood = isGood;
    this.against = 0;
    return changes;
  }

  /** Samples so far count for nothing, because whoever took them had stood still; the verdict stays. */
  reset(): void {
    this.against = 0;
  }
}

/**
 * Whether two sentences say the same apart from their numbers ("no answer for 3 s" and "no answer for 4 s"). Such a
 * difference is no news: a check whose output changes wakes everyone who watches it (consul#2754).
 */
export function isSameExceptNumbers(one: string, other: string): boolean {
  return one === other || withoutNumbers(one) === withoutNumbers(other);
}

function withoutNumbers(text: string): string {
  return text.replace(/\d+(\.\d+)?/g, '#');
}
