/** What charts of a page are drawn from: the JSON of `/main`. */

/** A value for each slot; null: nobody looked. */
export type Values = readonly (number | null)[];

/** What is drawn of one service. Calls are per second, times in ms. */
export interface GroupSeries {
  readonly calls: Values;
  readonly failed: Values;
  readonly p50: Values;
  readonly p99: Values;
  /** Absent where there is no queue. */
  readonly running?: Values;
  readonly waiting?: Values;
}

/** A line in the charts. */
export interface ChartMark {
  /** Wall-clock time, ms. */
  readonly atMs: number;
  readonly kind: string;
  readonly text: string;
}

/** One service with its charts. */
export interface Group {
  readonly name: string;
  readonly series: GroupSeries;
  readonly marks: readonly ChartMark[];
}

/** Slots from `first` on, as numbers of `slotMs` since the epoch. */
export interface PageSeries {
  readonly slotMs: number;
  readonly slots: number;
  readonly first: number;
  readonly groups: readonly Group[];
}

/** The answer of `/main`. */
export interface PageUpdate {
  /** The element `main`, anew. */
  readonly html: string;
  readonly series: PageSeries;
}
