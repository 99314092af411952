import type { TimeDeps } from '../../runtime/deps.js';
import type { Timer } from '../../runtime/time/timers.js';
import { AuditKind, type AuditKindName, type AuditTrail } from './trail.js';

/** Decisions of these kinds are made per call or connection, as often as a peer likes. */
const REPEATED: ReadonlySet<AuditKindName> = new Set([AuditKind.denied, AuditKind.peerRefused]);
/** For this long after the first one the same decision is counted, ms. */
const WINDOW_MS = 10_000;
/** Different decisions that are counted at a time; further ones share one line. */
const MAX_KEYS = 256;
const OTHERS = 'others';

interface Count {
  readonly kind: AuditKindName;
  readonly fields: Readonly<Record<string, unknown>>;
  repeated: number;
}

/**
 * Writes a decision that may come a thousand times a second once, and its repetitions as a number every 10 s: a flood of denied calls
 * costs a few lines, and none of it is left out of the count.
 */
export class RepeatedDecisions implements AuditTrail {
  private readonly counts = new Map<string, Count>();
  private timer: Timer | undefined;

  constructor(
    private readonly trail: AuditTrail,
    private readonly time: TimeDeps,
  ) {}

  record(kind: AuditKindName, fields: Readonly<Record<string, unknown>>): void {
    if (!REPEATED.has(kind)) return this.trail.record(kind, fields);
    const key = `${kind} ${JSON.stringify(fields)}`;
    const known = this.counts.get(key) ?? this.shared(kind);
    if (known !== undefined) {
      known.repeated++;
      return;
    }
    this.counts.set(key, { kind, fields, repeated: 0 });
    this.trail.record(kind, fields);
    this.timer ??= this.time.timers.after(WINDOW_MS, () => this.flush(), { unref: true });
  }

  /** Writes what has been counted. */
  flush(): void {
    this.timer?.cancel();
    this.timer = undefined;
    for (const { kind, fields, repeated } of this.counts.values())
      if (repeated > 0) this.trail.record(kind, { ...fields, repeated });
    this.counts.clear();
  }

  /** Undefined: there is room for one more decision of its own. */
  private shared(kind: AuditKindName): Count | undefined {
    if (this.counts.size < MAX_KEYS) return undefined;
    const key = `${kind} ${OTHERS}`;
    const count = this.counts.get(key) ?? { kind, fields: { [OTHERS]: true }, repeated: 0 };
    this.counts.set(key, count);
    return count;
  }
}
