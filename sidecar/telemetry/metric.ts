/** One sample of a counter or gauge: `labels` and `value`. Label values come only from configuration, discovery or known methods. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A histogram's cumulative state: `counts[i]` observations ≤ `bounds[i]`, then one overflow bucket. Seconds. */
export interface HistogramSample {
  readonly labels: Readonly<Record<string, string>>;
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
  readonly sum: number;
}

/** One metric family, read at scrape time from plain numbers. */
export type Metric = { readonly name: string; readonly help: string } & (
  | { readonly kind: 'counter' | 'gauge'; readonly samples: readonly Sample[] }
  | { readonly kind: 'histogram'; readonly samples: readonly HistogramSample[] }
);
