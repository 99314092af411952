/** How soon an operator has to look: now (a page), in working hours (a ticket), or when it is convenient. */
export type Severity = 'critical' | 'warning' | 'info';

/** Series of a test, as promtool has them: name with labels, and values such as `0+60x60`, one a minute. */
export type Inputs = Readonly<Record<string, string>>;

/** One alert, with what its page says and with what its test feeds to it. */
export interface Alert {
  /** `Outrider…`, also its heading in docs/ALERTS.md. */
  readonly name: string;
  readonly severity: Severity;
  readonly expr: string;
  /** How long the expression has to hold, in minutes; 0: at once. */
  readonly forMinutes: number;
  /** One line. `{{ $labels.x }}` and `{{ $value | … }}` are filled in by Prometheus. */
  readonly summary: string;
  readonly description: string;
  /** For docs/ALERTS.md: what it means for callers, and what to do, in steps. */
  readonly means: string;
  readonly steps: readonly string[];
  readonly test: AlertTest;
}

/** A fault that begins at minute 0. */
export interface AlertTest {
  readonly inputs: Inputs;
  /** Labels of the alert beside its name and severity. */
  readonly labels: Readonly<Record<string, string>>;
  /** What stands for `{{ $value | … }}` then. */
  readonly value?: string;
  /** The minute at which it fires. Default: `forMinutes` + 10. */
  readonly atMinute?: number;
}

/** Replaces what Prometheus fills in, for the expected annotations of a test. */
export function filledIn(text: string, { labels, value = '' }: AlertTest): string {
  return text
    .replaceAll(/\{\{ \$labels\.(\w+) \}\}/g, (_, label: string) => labels[label] ?? '')
    .replaceAll(/\{\{ .*?\$value.*? \}\}/g, value);
}
