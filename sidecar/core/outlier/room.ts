/** Up to this utilization endpoints take the calls of another one (the spare room of locality.ts): beyond it, queues grow faster than the load. */
const MOST_UTILIZATION = 0.7;
/** From this utilization on, in the mean, more calls are there than can run. */
const CROWDED = 1;

/** What endpoints report of their load, in the mean of some seconds: calls there over calls that may run at once. */
export class Room {
  private sum = 0;
  private reporting = 0;
  private endpoints = 0;

  /** One more that gets calls. @param utilization undefined: it has not reported any lately. */
  add(utilization: number | undefined): void {
    this.endpoints += 1;
    if (utilization === undefined) return;
    this.reporting += 1;
    this.sum += utilization;
  }

  /** They could take the share of one more endpoint like them. Also where none reports: nothing speaks against it. */
  get takesOneMore(): boolean {
    return this.mean * (1 + 1 / Math.max(1, this.endpoints)) <= MOST_UTILIZATION;
  }

  /** They have more calls than they can run. */
  get isCrowded(): boolean {
    return this.mean >= CROWDED;
  }

  private get mean(): number {
    return this.reporting === 0 ? 0 : this.sum / this.reporting;
  }
}
