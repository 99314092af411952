import { LastValues, trendOf } from './trend.js';

/** What is suspected of a process whose memory grows. */
export interface MemorySuspicion {
  readonly bytesPerHour: number;
  /** Resident memory now, and when it was first seen settled. */
  readonly residentBytes: number;
  readonly firstBytes: number;
  /** Time until the memory there is would be full at this slope, ms; Infinity: not known. */
  readonly fullInMs: number;
  /** One sentence. */
  readonly why: string;
}

export interface MemoryTrendSettings {
  /** Time between two looks, ms; default 5 s. */
  readonly lookMs: number;
  /** Looks of which the least is one value; default 12, a minute. Memory goes up until it is collected: what is left after that counts. */
  readonly looks: number;
}

/** Values of a trend: twenty minutes. */
const VALUES = 20;
/** Values before there is a verdict. */
const LEAST_VALUES = 10;
/** Values at the beginning that do not count: a process fills its caches once. */
const SETTLING = 2;
/** Rises outnumber falls by so many standard deviations, in all and in the newer half. */
const SURE = 3.5;
const SURE_OF_HALF = 2;
/** Slope of the newer half over that of all, at least: caches that fill up become slower at it. */
const GOES_ON = 0.7;
/** Growth over the window that counts: of what there is, and at least. */
const LEAST_RATIO = 0.05;
const LEAST_BYTES = 16 * 2 ** 20;
/** A leak worries that fills the memory within this time, ms, or has made the process so many times as large. */
const SOON_MS = 6 * 3_600_000;
const MUCH_LARGER = 2;
const HOUR_MS = 3_600_000;
const DEFAULTS: MemoryTrendSettings = { lookMs: 5_000, looks: 12 };

/**
 * Whether the memory of a process grows without end: the slope of its least values of each minute, by Theil and Sen, with the test of Mann and
 * Kendall. Growth that has come to an end is none: the newer half has to rise as well.
 */
export class MemoryTrend {
  private readonly values = new LastValues(VALUES);
  private least = Number.POSITIVE_INFINITY;
  private looks = 0;
  private settling = SETTLING;
  private firstBytes = 0;
  /** Undefined: nothing is suspected. */
  suspicion: MemorySuspicion | undefined;

  constructor(private readonly settings: MemoryTrendSettings = DEFAULTS) {}

  /** Resident memory of the process now. @param limitBytes what it may grow to; 0: not known. */
  observe(residentBytes: number, limitBytes: number): void {
    this.least = Math.min(this.least, residentBytes);
    this.looks += 1;
    if (this.looks < this.settings.looks) return;
    const value = this.least;
    this.looks = 0;
    this.least = Number.POSITIVE_INFINITY;
    if (this.settling > 0) {
      this.settling -= 1;
      return;
    }
    if (this.values.count === 0 && this.firstBytes === 0) this.firstBytes = value;
    this.values.add(value);
    this.suspicion = this.values.count < LEAST_VALUES ? undefined : this.judge(value, limitBytes);
  }

  private judge(residentBytes: number, limitBytes: number): MemorySuspicion | undefined {
    const { slope, z } = trendOf(this.values.from());
    const newer = trendOf(this.values.from(this.values.count >> 1));
    if (z < SURE || newer.z < SURE_OF_HALF || newer.slope < GOES_ON * slope) return undefined;
    const grown = slope * (this.values.count - 1);
    if (grown < Math.max(LEAST_BYTES, LEAST_RATIO * residentBytes)) return undefined;
    const { lookMs, looks } = this.settings;
    const perMs = Math.min(slope, newer.slope) / (lookMs * looks);
    const fullInMs =
      limitBytes > 0 ? Math.max(0, limitBytes - residentBytes) / perMs : Number.POSITIVE_INFINITY;
    const { firstBytes } = this;
    if (fullInMs > SOON_MS && residentBytes < MUCH_LARGER * firstBytes) return undefined;
    const bytesPerHour = perMs * HOUR_MS;
    const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
    const why = `its memory grows by ${mib(bytesPerHour)} an hour, from ${mib(firstBytes)} to ${mib(residentBytes)} so far`;
    return { bytesPerHour, residentBytes, firstBytes, fullInMs, why };
  }
}
