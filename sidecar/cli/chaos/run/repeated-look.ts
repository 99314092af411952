/** What is looked at again and again while a drill lasts. */
export interface LookPlan<Seen> {
  readonly everyMs: number;
  look(): Promise<Seen>;
  /** Ms of the run. */
  now(): number;
  /** @param askedMs when the look began: a later change may have happened while the answer was on its way. */
  seen(seen: Seen, askedMs: number): void;
}

/** Looks until it is stopped. A look that fails is passed over: what is looked at may be away. */
export class RepeatedLook<Seen> {
  private timer: NodeJS.Timeout | undefined;
  private isStopped = false;

  constructor(private readonly plan: LookPlan<Seen>) {}

  start(): void {
    void this.look();
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
  }

  private async look(): Promise<void> {
    const { plan } = this;
    const askedMs = plan.now();
    const seen = await plan.look().catch(() => undefined);
    if (this.isStopped) return;
    if (seen !== undefined) plan.seen(seen, askedMs);
    this.timer = setTimeout(() => void this.look(), plan.everyMs);
  }
}
