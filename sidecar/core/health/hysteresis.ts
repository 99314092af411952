/** Thresholds of a `Hysteresis`. */
export interface HysteresisSettings {
  /** Bad samples in a row until the state is bad. Default 2. */
  readonly unhealthyThreshold?: number;
  /** Good samples in a row until it is good again. Default 1. */
  readonly healthyThreshold?: number;
}

/**
 * A good-or-bad state that does not flap: several bad samples in a row make it bad, fewer good ones make it good again, and
 * certain knowledge sets it at once. Consul's own thresholds do not apply to TTL checks, so they are applied here.
 */
export class Hysteresis {
  /** Samples in a row that contradict the state. */
  private against = 0;

  /** @param isGood the state before the first sample. */
  constructor(
    public isGood: boolean,
    private readonly settings: HysteresisSettings = {},
  ) {}

  /** Whether samples contradict the state, though not enough of them. */
  get isInDoubt(): boolean {
    return this.against > 0;
  }

  /** One sample. Whether it changed the state. */
  sample(isGood: boolean): boolean {
    if (isGood === this.isGood) {
      this.against = 0;
      return false;
    }
    this.against += 1;
    const { unhealthyThreshold = 2, healthyThreshold = 1 } = this.settings;
    return this.against >= (isGood ? healthyThreshold : unhealthyThreshold) && this.set(isGood);
  }

  /** Sets the state, for what needs no second sample: the process has ended. Whether it changed. */
  set(isGood: boolean): boolean {
    const changes = isGood !== this.isGood;
    this.isGood = isGood;
    this.against = 0;
    return changes;
  }

  /** Drops the samples so far, because this process stood still; the state stays. */
  reset(): void {
    this.against = 0;
  }
}

/**
 * Whether two sentences are equal except for numbers ("no answer for 3 s" and "no answer for 4 s"). A check whose output changes
 * wakes every watcher of the service (consul#2754), so that such changes are not sent.
 */
export function isSameExceptNumbers(one: string, other: string): boolean {
  return one === other || withoutNumbers(one) === withoutNumbers(other);
}

function withoutNumbers(text: string): string {
  return text.replace(/\d+(\.\d+)?/g, '#');
}
