/**
 * Whoever is out because its own sidecar says that its model cannot serve is asked until it can: that sidecar is there,
 * and answers for its model. Its first good word makes the trial call due at once; while it says no, no call has to
 * find that out. Nobody else is asked, and nobody for longer than that.
 */

import type { UpstreamConfig } from '../config/model.js';
import { EjectionState } from '../core/ejection.js';
import type { Endpoint } from '../mesh/endpoint.js';
import type { Upstream } from '../mesh/upstream.js';
import type { Relay } from '../relay/relay.js';
import { WheelEntry } from '../runtime/timing-wheel.js';
import { HealthCalls, type Question } from './prober-questions.js';

/** Between two questions; twice as long after each trial that failed all the same, up to eight times. */
const INTERVAL_MS = 500;
const MOST_DOUBLINGS = 3;
/** Callers of the same model do not ask in step. */
const JITTER = 0.2;

export class Recoveries {
  private readonly watches = new Map<Endpoint, Recovery>();

  constructor(private readonly relay: Relay) {}

  /** Endpoints may have gone down, or come back. */
  look(upstream: Upstream, { name, tls }: UpstreamConfig): void {
    if (!upstream.allEjections.some(({ down }) => down > 0)) return;
    for (const endpoint of upstream.endpoints) {
      if (!isOut(endpoint) || this.watches.has(endpoint)) continue;
      const scheme = tls === 'mesh' ? 'https' : 'http';
      const calls = new HealthCalls({ scheme, authority: name, service: '' });
      const onOver = (): void => void this.watches.delete(endpoint);
      const recovery = new Recovery(upstream, endpoint, calls, this.relay, onOver);
      this.watches.set(endpoint, recovery);
      recovery.plan();
    }
  }

  stop(): void {
    for (const recovery of this.watches.values()) recovery.stop();
    this.watches.clear();
  }
}

function isOut({ ejection, isGone }: Endpoint): boolean {
  return !isGone && ejection.isDown && ejection.state !== EjectionState.admitted;
}

class Recovery extends WheelEntry {
  private question: Question | undefined;

  constructor(
    private readonly upstream: Upstream,
    private readonly endpoint: Endpoint,
    private readonly calls: HealthCalls,
    private readonly relay: Relay,
    private readonly onOver: () => void,
  ) {
    super();
  }

  plan(): void {
    const { failedTrials } = this.endpoint.ejection;
    const intervalMs = INTERVAL_MS * 2 ** Math.min(failedTrials, MOST_DOUBLINGS);
    const jitter = 1 + JITTER * (2 * this.relay.random() - 1);
    this.relay.wheel.add(this, this.relay.clock.now() + intervalMs * jitter);
  }

  stop(): void {
    this.relay.wheel.cancel(this);
    this.drop();
  }

  fire(): void {
    if (this.upstream.isRetired || !isOut(this.endpoint)) {
      this.drop();
      return this.onOver();
    }
    const now = this.relay.clock.now();
    this.relay.nowMs = now;
    if (this.question?.isPending !== true) this.ask(now);
    this.plan();
  }

  private ask(nowMs: number): void {
    this.drop();
    const { ejection, ejections, pool } = this.endpoint;
    const timeoutMs = INTERVAL_MS * 2;
    this.question = this.calls.ask(pool, nowMs, timeoutMs, (result) => {
      this.question = undefined;
      if (!isOut(this.endpoint)) return;
      if (result === 'passed') ejections.tryNow(ejection, this.relay.clock.now());
      else if (result === 'failed') ejections.staysDown(ejection, this.relay.clock.now());
    });
  }

  private drop(): void {
    this.question?.cancel();
    this.question = undefined;
  }
}
