/**
 * Requests that ran in a model process as it crashed, by a fingerprint of what they ask. One that was there twice is
 * refused for a while: each further time would cost a process, and all calls in it. A request that is answered is no
 * poison, however often it was beside one: its record is cleared. Bounded in number; time is an argument.
 */

/** Crashes after which a request is refused. */
export const DEADLY = 2;
/** How long a crash is remembered, and a request is refused after the last one, ms. */
export const REMEMBERED_MS = 600_000;
export const MAX_FINGERPRINTS = 1_024;

export interface PoisonRecord {
  readonly fingerprint: string;
  readonly upstream: string;
  /** Octets of the request. */
  readonly bytes: number;
  readonly deaths: number;
  readonly lastMs: number;
}

export class PoisonTable {
  /** In the order of the last crash. */
  private readonly records = new Map<string, PoisonRecord>();
  private refusedNow = 0;

  /** Records that may still count. 0: nothing need be asked. */
  get size(): number {
    return this.records.size;
  }

  /** Whether any request at all is refused now. */
  isRefusing(nowMs: number): boolean {
    if (this.refusedNow > 0) this.forget(nowMs);
    return this.refusedNow > 0;
  }

  isRefused(fingerprint: string, nowMs: number): boolean {
    this.forget(nowMs);
    return (this.records.get(fingerprint)?.deaths ?? 0) >= DEADLY;
  }

  /** Whether a request of so many octets to this upstream may have a record: cheaper than its fingerprint. */
  mayKnow(upstream: string, bytes: number): boolean {
    for (const record of this.records.values())
      if (record.bytes === bytes && record.upstream === upstream) return true;
    return false;
  }

  /**
   * A process crashed with such a request in it. Several at once are one crash for each of them: only what began after
   * the last one was known counts anew.
   */
  crashed(
    request: Pick<PoisonRecord, 'fingerprint' | 'upstream' | 'bytes'>,
    startedMs: number,
    nowMs: number,
  ): void {
    this.forget(nowMs);
    const { fingerprint, upstream, bytes } = request;
    const before = this.records.get(fingerprint);
    if (before !== undefined && startedMs <= before.lastMs) return;
    if (before !== undefined) this.drop(before);
    else if (this.records.size >= MAX_FINGERPRINTS) this.drop(this.leastGuilty());
    const deaths = (before?.deaths ?? 0) + 1;
    if (deaths >= DEADLY) this.refusedNow += 1;
    this.records.set(fingerprint, { fingerprint, upstream, bytes, deaths, lastMs: nowMs });
  }

  /** It was answered. */
  answered(fingerprint: string): void {
    const record = this.records.get(fingerprint);
    if (record !== undefined) this.drop(record);
  }

  list(nowMs: number): readonly PoisonRecord[] {
    this.forget(nowMs);
    return [...this.records.values()];
  }

  /** The oldest of those that are not refused, or the oldest. */
  private leastGuilty(): PoisonRecord {
    let oldest: PoisonRecord | undefined;
    for (const record of this.records.values()) {
      if (record.deaths < DEADLY) return record;
      oldest ??= record;
    }
    return oldest!;
  }

  private forget(nowMs: number): void {
    for (const record of this.records.values()) {
      if (nowMs - record.lastMs < REMEMBERED_MS) return;
      this.drop(record);
    }
  }

  private drop(record: PoisonRecord): void {
    this.records.delete(record.fingerprint);
    if (record.deaths >= DEADLY) this.refusedNow -= 1;
  }
}
