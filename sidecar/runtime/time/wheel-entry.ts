/**
 * An event at a time, for `TimingWheel`: extend it and implement `fire`. Entries carry the links of
 * the wheel's lists, so that scheduling allocates nothing.
 */
export abstract class WheelEntry {
  /** When it fires, in the clock's milliseconds. Set by `TimingWheel.add`; read-only to others. */
  dueMs = 0;
  /** @internal Links of the slot's list; `wheelNext` is null while not scheduled. */
  wheelPrev: WheelEntry | null = null;
  /** @internal */
  wheelNext: WheelEntry | null = null;

  get isScheduled(): boolean {
    return this.wheelNext !== null;
  }

  /**
   * Called once per `add`, at or up to about 5 ms after `dueMs`, already unscheduled. It may add
   * and cancel anything.
   */
  abstract fire(): void;
}

/** An entry that calls a function, where no class can extend `WheelEntry`. */
export class WheelTimer extends WheelEntry {
  /** @param owner what ends when `fn` throws; null: it has no owner. */
  constructor(
    private readonly fn: () => void,
    readonly owner: object | null = null,
  ) {
    super();
  }
  fire(): void {
    this.fn();
  }
}
