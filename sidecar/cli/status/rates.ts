import type { Rates, SidecarStatus } from './sidecar-table.js';

interface Before {
  readonly calls: number;
  readonly atMs: number;
}

/** Calls per second of each sidecar, from the counts of two reports. */
export class CallRates {
  private before = new Map<string, Before>();

  /**
   * The rates since the last call of this method. A sidecar that was not seen then has none, and neither has one whose count went back,
   * because it has started anew.
   *
   * @param nowMs monotonic.
   */
  of(seen: readonly SidecarStatus[], nowMs: number): Rates {
    const rates = new Map<string, number>();
    const after = new Map<string, Before>();
    for (const each of seen) {
      if (!('report' in each) || each.report.calls === undefined) continue;
      const { inbound, outbound } = each.report.calls;
      const calls = inbound + outbound;
      after.set(each.name, { calls, atMs: nowMs });
      const before = this.before.get(each.name);
      if (before !== undefined && calls >= before.calls && nowMs > before.atMs)
        rates.set(each.name, ((calls - before.calls) * 1_000) / (nowMs - before.atMs));
    }
    this.before = after;
    return rates;
  }
}
