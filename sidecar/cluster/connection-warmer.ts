/**
 * Begins to connect to endpoints, few at a time: hundreds of handshakes begun in one turn would hold up the calls of
 * others. A call that needs an endpoint before its turn connects to it at once.
 */

import type { Clock } from '../runtime/time/clock.js';
import { type TimingWheel, WheelEntry } from '../runtime/time/timing-wheel.js';
import type { Endpoint } from './endpoint.js';

/** Begun in one turn, and how long until the next. */
const AT_ONCE = 8;
const PAUSE_MS = 4;

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
