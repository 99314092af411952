/** How fast one side of a call takes what arrives: credit is given back as its plan says. */
import type { ReaderPlan } from '../plan/plan.js';
import type { SimStream } from './sim-peer.js';
import type { SimProcess } from './sim-process.js';

const TICK_MS = 5;
/** Nobody gives credit by the byte, unless there is no more. */
const LEAST_CREDIT = 500;

export class Reader {
  private unread = 0;
  private taken = 0;
  private earned = 0;
  private isTicking = false;
  private stopsUntilMs = -1;

  constructor(
    private readonly plan: ReaderPlan,
    private readonly process: SimProcess,
  ) {}

  onData(stream: SimStream, bytes: number): void {
    const { plan } = this;
    if (plan.kind === 'eager') return stream.credit(bytes);
    this.unread += bytes;
    if (plan.kind === 'slow') return this.tick(stream);
    this.taken += bytes;
    if (this.taken <= plan.afterBytes) return this.all(stream);
    const now = this.process.now();
    if (this.stopsUntilMs < 0) {
      this.stopsUntilMs = now + plan.forMs;
      this.process.after(plan.forMs, () => this.all(stream));
    } else if (now >= this.stopsUntilMs) this.all(stream);
  }

  private all(stream: SimStream): void {
    stream.credit(this.unread);
    this.unread = 0;
  }

  private tick(stream: SimStream): void {
    if (this.isTicking || this.unread === 0 || this.plan.kind !== 'slow') return;
    this.isTicking = true;
    const { bytesPerMs } = this.plan;
    this.process.after(TICK_MS, () => {
      this.isTicking = false;
      this.earned += bytesPerMs * TICK_MS;
      const bytes = Math.min(this.unread, Math.floor(this.earned));
      if (bytes >= Math.min(LEAST_CREDIT, this.unread)) {
        this.earned -= bytes;
        this.unread -= bytes;
        stream.credit(bytes);
      }
      if (stream.isOpen) this.tick(stream);
    });
  }
}
