import type { Cluster } from '../../cluster/cluster.js';
import type { Endpoint } from '../../cluster/endpoint.js';
import type { UpstreamConfig } from '../../config/model.js';
import type { CheckResult } from '../../core/health/health-check.js';
import { EjectionState } from '../../core/outlier/ejection.js';
import { WheelEntry } from '../../runtime/time/timing-wheel.js';
import type { Metric } from '../../telemetry/metric.js';
import { counter } from '../../telemetry/metric.js';
import type { DataPlaneContext } from '../../transport/context.js';
import { HealthCalls, type Probe } from './probes.js';

/** Between two questions; twice as long after each trial that failed all the same, up to eight times. */
const INTERVAL_MS = 500;
const MOST_DOUBLINGS = 3;
/** How long a trial that is due waits for a call: longer than the best kind of call is waited for (outbound/ejection-probe.ts). */
const UNTRIED_MS = 6_000;
/** Callers of the same model do not ask in step. */
const JITTER = 0.2;

/** What usually comes of a question. */
const RESULTS: readonly CheckResult[] = ['passed', 'failed', 'silent'];

export class RecoveryProbes {
  /** What came of the questions, by upstream and result. */
  private readonly counts = new Map<string, Map<CheckResult, number>>();
  private readonly watches = new Map<Endpoint, Recovery>();

  constructor(private readonly relay: DataPlaneContext) {}

  /** Endpoints may have gone down, or come back. */
  look(upstream: Cluster, { name, tls }: UpstreamConfig): void {
    // A counter that begins at 0 shows its first step.
    if (!this.counts.has(name)) this.counts.set(name, new Map(RESULTS.map((result) => [result, 0])));
    if (!upstream.allEjections.some(({ ejected }) => ejected > 0)) return;
    for (const endpoint of upstream.endpoints) {
      if (!isOut(endpoint)) continue;
      const watch = this.watches.get(endpoint);
      if (watch !== undefined) {
        watch.look();
        continue;
      }
      const scheme = tls === 'mesh' ? 'https' : 'http';
      const calls = new HealthCalls({ scheme, authority: name, service: '' });
      const ties: RecoveryDeps = {
        relay: this.relay,
        onAnswer: (result) => this.count(name, result),
        onOver: () => void this.watches.delete(endpoint),
      };
      const recovery = new Recovery(upstream, endpoint, calls, ties);
      this.watches.set(endpoint, recovery);
      recovery.plan();
    }
  }

  metrics(): Metric[] {
    if (this.counts.size === 0) return [];
    const samples = [...this.counts].flatMap(([upstream, results]) =>
      [...results].map(([result, value]) => ({ labels: { upstream, result }, value })),
    );
    return [
      counter(
        'outrider_recovery_checks_total',
        'Questions to ejected endpoints, because their own sidecar said that the model cannot serve, or because no call came to try them, by what came of them.',
        samples,
      ),
    ];
  }

  /** The upstream is gone. */
  forget(name: string): void {
    this.counts.delete(name);
  }

  private count(upstream: string, result: CheckResult): void {
    let results = this.counts.get(upstream);
    if (results === undefined) {
      results = new Map();
      this.counts.set(upstream, results);
    }
    results.set(result, (results.get(result) ?? 0) + 1);
  }

  stop(): void {
    for (const recovery of this.watches.values()) recovery.stop();
    this.watches.clear();
  }
}

interface RecoveryDeps {
  readonly relay: DataPlaneContext;
  onAnswer(result: CheckResult): void;
  onOver(): void;
}

function isOut({ ejection, isGone }: Endpoint): boolean {
  return !isGone && ejection.state !== EjectionState.admitted;
}

function untriedFromMs({ ejection }: Endpoint): number {
  return ejection.untilMs + UNTRIED_MS;
}

/** Whether a check that passes is enough. One that fails a check which the file asks for is not asked another. */
function isUntried(endpoint: Endpoint, nowMs: number): boolean {
  const { ejection, unhealthy } = endpoint;
  return ejection.state === EjectionState.ejected && unhealthy === '' && nowMs >= untriedFromMs(endpoint);
}

class Recovery extends WheelEntry {
  private question: Probe | undefined;
  /** Its next question was planned while it was so. */
  private wasDown = false;

  constructor(
    private readonly upstream: Cluster,
    private readonly endpoint: Endpoint,
    private readonly calls: HealthCalls,
    private readonly ties: RecoveryDeps,
  ) {
    super();
  }

  /** One that turns out to be down is asked soon. */
  look(): void {
    if (this.wasDown || !this.endpoint.ejection.isDown) return;
    this.ties.relay.wheel.cancel(this);
    this.plan();
  }

  plan(): void {
    const { relay } = this.ties;
    const now = relay.clock.now();
    const { failedTrials, isDown } = this.endpoint.ejection;
    this.wasDown = isDown;
    const jitter = 1 + JITTER * (2 * relay.random() - 1);
    const intervalMs = INTERVAL_MS * 2 ** Math.min(failedTrials, MOST_DOUBLINGS);
    const dueMs = isDown ? now : Math.max(now + UNTRIED_MS, untriedFromMs(this.endpoint)) - intervalMs;
    relay.wheel.add(this, dueMs + intervalMs * jitter);
  }

  stop(): void {
    this.ties.relay.wheel.cancel(this);
    this.drop();
  }

  fire(): void {
    if (this.upstream.isRetired || !isOut(this.endpoint)) {
      this.drop();
      return this.ties.onOver();
    }
    const now = this.ties.relay.clock.now();
    this.ties.relay.nowMs = now;
    const { isDown } = this.endpoint.ejection;
    if ((isDown || isUntried(this.endpoint, now)) && this.question?.isPending !== true) this.ask(now);
    this.plan();
  }

  private ask(nowMs: number): void {
    this.drop();
    const { ejection, ejections, pool } = this.endpoint;
    const timeoutMs = INTERVAL_MS * 2;
    this.question = this.calls.ask(pool, nowMs, timeoutMs, (result) => {
      this.question = undefined;
      this.ties.onAnswer(result);
      if (!isOut(this.endpoint)) return;
      const now = this.ties.relay.clock.now();
      if (result === 'failed') ejections.staysDown(ejection, now);
      if (result !== 'passed') return;
      if (isUntried(this.endpoint, now)) this.upstream.readmitUntried(this.endpoint);
      else ejections.tryNow(ejection, now);
    });
  }

  private drop(): void {
    this.question?.cancel();
    this.question = undefined;
  }
}
