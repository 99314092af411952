/** What is known of one series. Times are ms since 1970. */
interface Series {
  startMs: number;
  /** At the last reading that had it. */
  value: number;
  seenMs: number;
}

/**
 * Since when each cumulative series counts: OTLP wants it with each point. A series that an earlier reading had not begins
 * where that reading was; one whose value fell began anew after its last point (OpenTelemetry, metrics data model, resets
 * and gaps). So the times of two points of one series never overlap, and a rate over them is right.
 */
export class SeriesStarts {
  private readonly metrics = new Map<string, Map<string, Series>>();
  /** Of the last reading that was complete. */
  private readMs: number;

  /** @param beganMs when the counters began. */
  constructor(beganMs: number) {
    this.readMs = beganMs;
  }

  /** A reading begins. Where the wall clock was set back, a series that began later by it begins now: none may begin after its points. */
  begin(timeMs: number): void {
    if (timeMs >= this.readMs) return;
    this.readMs = timeMs;
    for (const series of this.metrics.values())
      for (const each of series.values()) {
        each.startMs = Math.min(each.startMs, timeMs);
        each.seenMs = Math.min(each.seenMs, timeMs);
      }
  }

  /** @param name of the metric. @param key what tells its series apart. @param value the count now. */
  startOf(name: string, key: string, value: number, timeMs: number): number {
    let series = this.metrics.get(name);
    if (series === undefined) {
      series = new Map();
      this.metrics.set(name, series);
    }
    const known = series.get(key);
    if (known === undefined) {
      series.set(key, { startMs: this.readMs, value, seenMs: timeMs });
      return this.readMs;
    }
    if (value < known.value) known.startMs = known.seenMs;
    known.value = value;
    known.seenMs = timeMs;
    return known.startMs;
  }

  /** The reading is complete: a series that it did not have is forgotten. */
  end(timeMs: number): void {
    this.readMs = timeMs;
    for (const [name, series] of this.metrics) {
      for (const [key, { seenMs }] of series) if (seenMs < timeMs) series.delete(key);
      if (series.size === 0) this.metrics.delete(name);
    }
  }

  /** Series that are known. */
  get size(): number {
    let size = 0;
    for (const series of this.metrics.values()) size += series.size;
    return size;
  }
}
