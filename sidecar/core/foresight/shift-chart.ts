import { Cusum } from './cusum.js';

/** What a chart looks for; differences of natural logarithms, so that 0.14 is a factor of 1.15. */
export interface ChartSettings {
  /** Shifts of less than this are none, however often they are seen. */
  readonly leastSlack: number;
  /** The sum that is an alarm, where observations hardly vary. */
  readonly leastThreshold: number;
}

/** Slack and threshold in standard deviations, where observations vary: some 10⁷ of them between false alarms. */
export const SLACK_DEVIATIONS = 1;
export const THRESHOLD_DEVIATIONS = 8;
/** Weight of one observation in the deviation: about the last fifty count. */
const WEIGHT = 0.02;
/** Mean absolute deviation to standard deviation, of normal observations. */
const NORMAL = 1.25;
/** Part of the threshold that one observation adds at most: an alarm takes three, for a pause of a second is no trend. */
const MOST = 0.34;
/** Part of the sum that stays after a second without an observation: it halves in two minutes. */
const KEPT = 0.994;
/** Observations before the deviation is believed. */
const LEARN = 10;
/** Sum, in thresholds, from which what is observed no longer counts as usual. */
const SUSPICIOUS = 0.5;

/**
 * A cumulative sum of how far observations are above 0, in which slack and threshold follow what they vary by of themselves: latencies
 * are autocorrelated, and a chart for independent ones gives a hundred times the false alarms that its formula promises.
 */
export class ShiftChart {
  /** In thresholds, because the threshold moves. */
  private readonly cusum = new Cusum();
  private mean = 0;
  private deviation = 0;
  private seen = 0;

  constructor(private readonly settings: ChartSettings) {}

  /**
   * One observation, such as the logarithm of a block's median over the usual one.
   * @param error standard error of this observation as far as it can tell itself.
   */
  add(observed: number, error: number): void {
    this.learn(observed);
    if (this.seen <= LEARN) return;
    const spread = Math.max(error, this.deviation * NORMAL);
    const slack = Math.max(this.settings.leastSlack, SLACK_DEVIATIONS * spread);
    const threshold = Math.max(this.settings.leastThreshold, THRESHOLD_DEVIATIONS * spread);
    const excess = Math.min((observed - slack) / threshold, MOST);
    this.cusum.add(excess, 0, 2);
  }

  /** 0 to 1: ½ is an alarm. */
  get level(): number {
    return this.cusum.sum / 2;
  }

  /** A second without an observation. */
  idle(): void {
    this.cusum.fade(KEPT);
  }

  clear(): void {
    this.cusum.clear();
  }

  /** What is suspicious does not make itself usual. */
  private learn(observed: number): void {
    if (this.cusum.sum >= SUSPICIOUS) return;
    this.seen += 1;
    const weight = Math.max(WEIGHT, 1 / this.seen);
    this.mean += (observed - this.mean) * weight;
    this.deviation += (Math.abs(observed - this.mean) - this.deviation) * weight;
  }
}
