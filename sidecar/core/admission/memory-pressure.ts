/**
 * Whether the process is running out of memory, and what to give up first. Sheds before it is in danger: at the first
 * level what is not important, at the second everything new. Levels are left later than they are entered, so that a
 * process at the edge does not flap.
 */

export const Pressure = { none: 0, high: 1, critical: 2 } as const;
export type Pressure = (typeof Pressure)[keyof typeof Pressure];
export const PRESSURE_NAMES = ['none', 'high', 'critical'] as const;

/** Envoy's usual levels, a little earlier: a collected heap gives memory back late. */
const HIGH_RATIO = 0.85;
const CRITICAL_RATIO = 0.92;
/** A level is left this far below where it is entered. */
const RELIEF_RATIO = 0.05;
/** A look costs system calls: one counts for this long. */
const LOOK_MS = 250;

export interface MemoryReading {
  /** What the process holds. */
  readonly usedBytes: number;
  /** What it may hold at most; 0, Infinity or NaN: unknown, and never under pressure. */
  readonly limitBytes: number;
}

export class MemoryPressure {
  private level: Pressure = Pressure.none;
  private dueMs = Number.NEGATIVE_INFINITY;
  /** Share of the limit that was in use at the last look, 0 where none is known. */
  usedRatio = 0;
  /** Times a level was entered. */
  readonly entered = { high: 0, critical: 0 };

  constructor(private readonly read: () => MemoryReading) {}

  /** The level now, from a look that is at most 250 ms old. Without calls nobody looks, and nothing is spent. */
  at(nowMs: number): Pressure {
    if (nowMs < this.dueMs) return this.level;
    this.dueMs = nowMs + LOOK_MS;
    return this.update(this.read());
  }

  private update({ usedBytes, limitBytes }: MemoryReading): Pressure {
    this.usedRatio = limitBytes > 0 && Number.isFinite(limitBytes) ? usedBytes / limitBytes : 0;
    const before = this.level;
    this.level = levelOf(this.usedRatio, before);
    if (before < Pressure.high && this.level >= Pressure.high) this.entered.high += 1;
    if (before < Pressure.critical && this.level === Pressure.critical) this.entered.critical += 1;
    return this.level;
  }
}

function levelOf(ratio: number, before: Pressure): Pressure {
  if (isAbove(ratio, CRITICAL_RATIO, before === Pressure.critical)) return Pressure.critical;
  if (isAbove(ratio, HIGH_RATIO, before >= Pressure.high)) return Pressure.high;
  return Pressure.none;
}

function isAbove(ratio: number, threshold: number, wasAbove: boolean): boolean {
  return ratio >= (wasAbove ? threshold - RELIEF_RATIO : threshold);
}
