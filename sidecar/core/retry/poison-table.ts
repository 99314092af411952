/** Crashes after which a request is refused. */
export const MAX_CRASHES = 2;
/** Time that a crash is remembered, and that a request is refused after its last one, ms. */
export const REMEMBERED_MS = 600_000;
/** Records kept. */
export const MAX_FINGERPRINTS = 1_024;

/** What a request is recognised by. */
export interface RequestFingerprint {
  readonly fingerprint: string;
  /** Bytes that it was made of. */
  readonly bytes: number;
}

/** A request as it is recognised. */
interface PoisonRequest extends RequestFingerprint {
  readonly upstream: string;
}

/** A request that ran in a process as it crashed. */
export interface PoisonRecord extends PoisonRequest {
  readonly crashes: number;
  readonly lastMs: number;
}

/**
 * Requests that ran in a model process as it crashed, by a fingerprint of their content. One that did so twice is refused for a
 * while: each further time would cost a process and all calls in it. A request that is answered is not poison: its record is
 * dropped.
 */
export class PoisonTable {
  /** In the order of the last crash. */
  private readonly records = new Map<string, PoisonRecord>();
  private refusedNow = 0;

  /** Records that may still count; 0: requests need no check. */
  get size(): number {
    return this.records.size;
  }

  /** Whether any request is refused now. */
  isRefusing(nowMs: number): boolean {
    if (this.refusedNow > 0) this.forget(nowMs);
    return this.refusedNow > 0;
  }

  isRefused(fingerprint: string, nowMs: number): boolean {
    this.forget(nowMs);
    return (this.records.get(fingerprint)?.crashes ?? 0) >= MAX_CRASHES;
  }

  /** Whether a request of so much content to this upstream may have a record; cheaper than its fingerprint. */
  mayHaveRecord(upstream: string, bytes: number): boolean {
    for (const record of this.records.values())
      if (record.bytes === bytes && record.upstream === upstream) return true;
    return false;
  }

  /**
   * A process crashed while this request ran in it. Copies of a request that ran at the same time count once: only one that
   * began after the last crash counts again.
   */
  crashed({ fingerprint, upstream, bytes }: PoisonRequest, startedMs: number, nowMs: number): void {
    this.forget(nowMs);
    const before = this.records.get(fingerprint);
    if (before !== undefined && startedMs <= before.lastMs) return;
    if (before !== undefined) this.drop(before);
    else if (this.records.size >= MAX_FINGERPRINTS) this.drop(this.evictable());
    const crashes = (before?.crashes ?? 0) + 1;
    if (crashes >= MAX_CRASHES) this.refusedNow += 1;
    this.records.set(fingerprint, { fingerprint, upstream, bytes, crashes, lastMs: nowMs });
  }

  /** The request was answered. */
  answered(fingerprint: string): void {
    const record = this.records.get(fingerprint);
    if (record !== undefined) this.drop(record);
  }

  list(nowMs: number): readonly PoisonRecord[] {
    this.forget(nowMs);
    return [...this.records.values()];
  }

  /** The record to drop for a new one: the oldest that is not refused, else the oldest. */
  private evictable(): PoisonRecord {
    let oldest: PoisonRecord | undefined;
    for (const record of this.records.values()) {
      if (record.crashes < MAX_CRASHES) return record;
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
    if (record.crashes >= MAX_CRASHES) this.refusedNow -= 1;
  }
}
