/** What a turn takes, s, before one has been measured: the model alone, then each server with its start and its loads. */
const ALONE_S = 4;
const SERVER_S = 12;
/** Of it, in a quick run. */
const QUICK = 0.5;

/** How long the benchmark of servers still takes: estimated at first, then from the turns that have ended. */
export class Progress {
  private readonly startMs: number;
  private ended = 0;

  /** `now`: ms of a monotonic clock. */
  constructor(
    private readonly turns: number,
    private readonly servers: number,
    private readonly isQuick: boolean,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.startMs = now();
  }

  turnEnded(): void {
    this.ended += 1;
  }

  /** For people. */
  left(): string {
    const seconds = this.secondsOfTurn() * (this.turns - this.ended);
    return seconds < 90 ? `about ${Math.ceil(seconds)} s left` : `about ${Math.ceil(seconds / 60)} min left`;
  }

  private secondsOfTurn(): number {
    if (this.ended > 0) return (this.now() - this.startMs) / 1000 / this.ended;
    return (ALONE_S + SERVER_S * this.servers) * (this.isQuick ? QUICK : 1);
  }
}
