import type { Clock } from './clock.js';
import { MAX_DELAY_MS, type Timer, type Timers } from './timers.js';
import { WheelEntry } from './wheel-entry.js';

export { WheelEntry, WheelTimer } from './wheel-entry.js';

export const SLOT_MS = 4;
const BITS = 6;
const SLOTS = 1 << BITS;
const LEVELS = 5;
/**
 * Ticks in one turn of the highest level. Entries beyond the current block wait in one list for the
 * next.
 */
const BLOCK_TICKS = 2 ** (BITS * LEVELS);
const BEYOND = LEVELS * SLOTS;
const UNREF = { unref: true } as const;

class ListHead extends WheelEntry {
  constructor() {
    super();
    this.wheelPrev = this;
    this.wheelNext = this;
  }
  fire(): void {}
}

/**
 * Every deadline, idle limit and retry wait of the process, behind one system timer.
 *
 * Five levels of 64 slots, 4 ms to a slot at the lowest: 4 ms … 256 ms … 16 s … 17 min … 18 h … 50
 * days. An entry lies at the level of the highest group of six bits in which its tick differs from
 * the current one, so all of a lower level is due before anything of a higher one and finding the
 * next wake is a bit scan. Entries carry their own links: adding and cancelling allocate nothing
 * and touch no system timer unless the new entry is due before the armed wake. Cancelling leaves
 * the wake armed (an early wake finds nothing and arms the next, or sleeps): a deadline is
 * cancelled far more often than it passes.
 */
export class TimingWheel {
  private readonly slots: WheelEntry[] = Array.from({ length: BEYOND + 1 }, () => new ListHead());
  /**
   * One bit per slot, two words per level. A set bit may belong to a slot that has been emptied
   * since.
   */
  private readonly occupied = new Int32Array(LEVELS * 2);
  private readonly firing: WheelEntry = new ListHead();
  /** Last tick whose slot has been worked off, as (start of the block) + (offset in it). */
  private blockTick: number;
  private offset: number;
  /** The slot that nextStart() found. */
  private nextSlot = BEYOND;
  private armedTick = Number.POSITIVE_INFINITY;
  private armed: Timer | undefined;
  private isFiring = false;
  private readonly onWake = (): void => this.wake();
  /** Gets what an entry throws, so that the others fire; null: it passes, and the others fire at once. */
  onThrow: ((entry: WheelEntry, error: unknown) => void) | null = null;

  /** Entries scheduled now. */
  size = 0;
  /** System timers armed so far, for tests and metrics: it should move rarely. */
  arms = 0;

  constructor(
    private readonly clock: Clock,
    private readonly timers: Timers,
  ) {
    const tick = Math.floor(clock.now() / SLOT_MS);
    this.blockTick = Math.floor(tick / BLOCK_TICKS) * BLOCK_TICKS;
    this.offset = tick - this.blockTick;
  }

  /**
   * Schedules `entry` for `dueMs`, moving it when it was scheduled already. A time in the past
   * fires in the next slot, never within this call.
   */
  add(entry: WheelEntry, dueMs: number): void {
    if (entry.wheelNext !== null) this.unlink(entry);
    else this.size += 1;
    if (this.armedTick === Number.POSITIVE_INFINITY && !this.isFiring) this.catchUp();
    entry.dueMs = dueMs;
    let offset = Math.ceil(dueMs / SLOT_MS) - this.blockTick;
    if (offset <= this.offset) offset = this.offset + 1;
    else if (!(offset > this.offset)) {
      this.size -= 1;
      throw new RangeError('a timer needs a time, not NaN');
    }
    const wakeTick = this.place(entry, offset);
    if (wakeTick < this.armedTick && !this.isFiring) this.arm(wakeTick);
  }

  /** Unschedules `entry`; does nothing when it is not scheduled. */
  cancel(entry: WheelEntry): void {
    if (entry.wheelNext === null) return;
    this.unlink(entry);
    this.size -= 1;
  }

  private unlink(entry: WheelEntry): void {
    const next = entry.wheelNext!;
    const prev = entry.wheelPrev!;
    prev.wheelNext = next;
    next.wheelPrev = prev;
    entry.wheelNext = null;
    entry.wheelPrev = null;
  }

  /**
   * Puts `entry` in its slot; the tick at which that slot must be worked off. `offset` ≥ the
   * current one.
   */
  private place(entry: WheelEntry, offset: number): number {
    let slot = BEYOND;
    let start = BLOCK_TICKS;
    if (offset < BLOCK_TICKS) {
      const differing = offset ^ this.offset;
      const level = differing < SLOTS ? 0 : ((31 - Math.clz32(differing)) / BITS) | 0;
      const shift = level * BITS;
      const index = (offset >>> shift) & (SLOTS - 1);
      slot = level * SLOTS + index;
      start = (offset >>> shift) << shift;
      this.occupied[(level << 1) + (index >>> 5)]! |= 1 << (index & 31);
    }
    const head = this.slots[slot]!;
    const last = head.wheelPrev!;
    entry.wheelPrev = last;
    entry.wheelNext = head;
    last.wheelNext = entry;
    head.wheelPrev = entry;
    return this.blockTick + start;
  }

  /**
   * Asleep, the position stands still; with nothing armed no slot is due before now, so it may
   * jump.
   */
  private catchUp(): void {
    if (this.size > 1) return;
    const tick = Math.floor(this.clock.now() / SLOT_MS);
    if (tick <= this.blockTick + this.offset) return;
    this.blockTick = Math.floor(tick / BLOCK_TICKS) * BLOCK_TICKS;
    this.offset = tick - this.blockTick;
  }

  private arm(tick: number): void {
    this.armed?.cancel();
    this.armedTick = tick;
    this.arms += 1;
    const delayMs = tick * SLOT_MS - this.clock.now();
    // One more than the floor: Node may fire a timer a fraction of a millisecond early.
    this.armed = this.timers.after(
      Math.min(Math.max(1, Math.floor(delayMs) + 1), MAX_DELAY_MS),
      this.onWake,
      UNREF,
    );
  }

  private wake(): void {
    this.armed = undefined;
    this.armedTick = Number.POSITIVE_INFINITY;
    this.isFiring = true;
    try {
      this.advance(Math.floor(this.clock.now() / SLOT_MS));
    } finally {
      this.isFiring = false;
      if (this.size > 0) {
        // Entries left in `firing` mean that one of them threw: the others follow at once.
        const left = this.firing.wheelNext !== this.firing;
        this.arm(left ? this.blockTick + this.offset : this.blockTick + this.nextStart());
      }
    }
  }

  /** Works off every slot up to and including `tick`. */
  private advance(tick: number): void {
    this.fireAll();
    while (this.size > 0) {
      const start = this.nextStart();
      if (this.blockTick + start > tick) break;
      this.workOff(start);
    }
    // No occupied slot begins at or before `tick`, so every entry stays right in its slot when the position moves there.
    if (tick <= this.blockTick + this.offset) return;
    if (this.size === 0) this.blockTick = Math.floor(tick / BLOCK_TICKS) * BLOCK_TICKS;
    this.offset = tick - this.blockTick;
  }

  /**
   * Offset at which the next occupied slot begins; BLOCK_TICKS when only entries beyond this block
   * are left. Clears stale bits.
   */
  private nextStart(): number {
    for (let level = 0; level < LEVELS; level += 1) {
      for (let half = 0; half < 2; half += 1) {
        const word = (level << 1) + half;
        while (this.occupied[word] !== 0) {
          const bits = this.occupied[word]!;
          const bit = 31 - Math.clz32(bits & -bits);
          const index = (half << 5) + bit;
          const head = this.slots[level * SLOTS + index]!;
          if (head.wheelNext !== head) {
            this.nextSlot = level * SLOTS + index;
            const shift = level * BITS;
            const above = shift + BITS;
            return (((this.offset >>> above) << above) | (index << shift)) >>> 0;
          }
          this.occupied[word] = bits & ~(1 << bit);
        }
      }
    }
    this.nextSlot = BEYOND;
    return BLOCK_TICKS;
  }

  /**
   * Moves to `start`, where the slot that nextStart() found begins, and fires its entries or hands
   * them down to finer slots.
   */
  private workOff(start: number): void {
    if (start === BLOCK_TICKS) this.blockTick += BLOCK_TICKS;
    this.offset = start % BLOCK_TICKS;
    const head = this.slots[this.nextSlot]!;
    if (this.nextSlot < SLOTS) this.fireSlot(head);
    else this.handDown(head);
  }

  private handDown(head: WheelEntry): void {
    let entry = head.wheelNext!;
    head.wheelNext = head;
    head.wheelPrev = head;
    while (entry !== head) {
      const next = entry.wheelNext!;
      this.place(entry, Math.max(Math.ceil(entry.dueMs / SLOT_MS) - this.blockTick, this.offset));
      entry = next;
    }
  }

  /**
   * Fires the slot's entries by way of `firing`, so that those added meanwhile are not among them.
   */
  private fireSlot(head: WheelEntry): void {
    const first = head.wheelNext!;
    const last = head.wheelPrev!;
    const end = this.firing.wheelPrev!;
    end.wheelNext = first;
    first.wheelPrev = end;
    last.wheelNext = this.firing;
    this.firing.wheelPrev = last;
    head.wheelNext = head;
    head.wheelPrev = head;
    this.fireAll();
  }

  private fireAll(): void {
    const head = this.firing;
    while (head.wheelNext !== head) {
      const entry = head.wheelNext!;
      this.unlink(entry);
      this.size -= 1;
      try {
        entry.fire();
      } catch (error) {
        if (this.onThrow === null) throw error;
        this.onThrow(entry, error);
      }
    }
  }
}
