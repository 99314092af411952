import type { Clock } from '../runtime/time/clock.js';
import { type TimingWheel, WheelEntry } from '../runtime/time/timing-wheel.js';
import type { Endpoint } from './endpoint.js';

/** Connections begun at once, and the pause until the next, ms. */
const AT_ONCE = 8;
const PAUSE_MS = 4;

/**
 * Begins to connect to endpoints, 8 at once and then 8 every 4 ms: hundreds of handshakes begun together would hold up calls
 * in flight. A call that needs an endpoint which still waits here connects to it at once.
 */
export class ConnectionWarmer extends WheelEntry {
  private queue: Endpoint[] = [];
  private begun = 0;

  constructor(
    private readonly wheel: TimingWheel,
    private readonly clock: Clock,
  ) {
    super();
  }

  add(endpoint: Endpoint): void {
    endpoint.isPrepared = true;
    if (this.begun < AT_ONCE) this.start(endpoint);
    else {
      endpoint.isQueued = true;
      this.queue.push(endpoint);
    }
    if (!this.isScheduled) this.wheel.add(this, this.clock.now() + PAUSE_MS);
  }

  stop(): void {
    this.queue = [];
    this.wheel.cancel(this);
  }

  fire(): void {
    this.begun = 0;
    for (const endpoint of this.queue.splice(0, AT_ONCE)) this.start(endpoint);
    if (this.begun > 0 || this.queue.length > 0) this.wheel.add(this, this.clock.now() + PAUSE_MS);
  }

  private start(endpoint: Endpoint): void {
    endpoint.isQueued = false;
    if (endpoint.isGone) return;
    this.begun++;
    endpoint.pool.start();
  }
}
