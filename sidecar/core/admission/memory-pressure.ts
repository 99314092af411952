/** Levels of memory pressure: at `high` unimportant work is shed, at `critical` all new work. */
export const Pressure = { none: 0, high: 1, critical: 2 } as const;
export type Pressure = (typeof Pressure)[keyof typeof Pressure];
export const PRESSURE_NAMES = ['none', 'high', 'critical'] as const;

/** Envoy's usual levels, a little earlier: a collected heap returns memory late. */
const HIGH_RATIO = 0.85;
const CRITICAL_RATIO = 0.92;
/** A level is left this far below where it is entered, so that it does not flap. */
const RELIEF_RATIO = 0.05;
/** A reading, which costs system calls, is used for this long, ms. */
const LOOK_MS = 250;

/** Memory of the process. */
export interface MemoryReading {
  /** In use, bytes. */
  readonly usedBytes: number;
  /** Limit, bytes; 0, Infinity or NaN: unknown, and never under pressure. */
  readonly limitBytes: number;
}

/** Whether the process runs out of memory: an overload manager in the sense of Envoy, with hysteresis. */
export class MemoryPressure {
  private level: Pressure = Pressure.none;
  private dueMs = Number.NEGATIVE_INFINITY;
  /** Share of the limit in use at the last reading; 0: no limit known. */
  usedRatio = 0;
  /** Times a level was entered. */
  readonly entered = { high: 0, critical: 0 };

  constructor(private readonly read: () => MemoryReading) {}

  /** The level, from a reading at most 250 ms old. Read on demand, so an idle process spends nothing. */
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
  const relief = (level: Pressure): number => (before >= level ? RELIEF_RATIO : 0);
  if (ratio >= CRITICAL_RATIO - relief(Pressure.critical)) return Pressure.critical;
  return ratio >= HIGH_RATIO - relief(Pressure.high) ? Pressure.high : Pressure.none;
}
