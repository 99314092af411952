/** A query of a panel: an expression, and how its series are called in the legend. */
export type Target = readonly [expr: string, legend: string];

/** Grafana's names of units. */
export type Unit = 'short' | 'reqps' | 'percentunit' | 's' | 'bytes' | 'µs' | 'ops';

/** A panel as a board declares it. Only kinds that Grafana has without plugins. */
export interface Panel {
  readonly title: string;
  readonly kind: 'timeseries' | 'stat' | 'table' | 'state-timeline' | 'bargauge';
  /** What it shows and what to look for; shown at the title. */
  readonly about: string;
  readonly targets: readonly Target[];
  /** Default: `short`. */
  readonly unit?: Unit;
  /** Of 24 columns. Default: 12, of a `stat` 4. */
  readonly width?: number;
  /** Values from which on a colour holds; the first has no bound. */
  readonly colours?: readonly (readonly [from: number | null, colour: 'green' | 'orange' | 'red'])[];
  /** Words for values, such as 1 for `ejected`. */
  readonly words?: Readonly<Record<number, string>>;
  /** Lines are stacked. */
  readonly isStacked?: true;
}

/** Panels below one heading. */
export interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

/** A choice at the top of a board: the values that a label of a metric has. */
export interface Variable {
  readonly name: string;
  readonly metric: string;
  readonly label: string;
  /** Label matchers that narrow it, such as `service="$service"`. */
  readonly where?: string;
}

export interface Board {
  /** File name, and part of its id: `mesh`, `service` … */
  readonly name: string;
  readonly title: string;
  readonly about: string;
  readonly variables: readonly Variable[];
  readonly rows: readonly Row[];
}

/** Few are bad: red from the first on. */
export const BAD_FROM_1 = [
  [null, 'green'],
  [1, 'red'],
] as const;
/** A ratio that should be near 1. */
export const GOOD_RATIO = [
  [null, 'red'],
  [0.95, 'orange'],
  [0.99, 'green'],
] as const;
