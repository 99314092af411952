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
  private readonly byEndpoint = new Map<Endpoint, RecoveryProbe>();

  constructor(private readonly context: DataPlaneContext) {}

  /** Endpoints may have gone down, or come back. */
  update(upstream: Cluster, { name, tls }: UpstreamConfig): void {
    // A counter that begins at 0 shows its first step.
    if (!this.counts.has(name)) this.counts.set(name, new Map(RESULTS.map((result) => [result, 0])));
    if (!upstream.allEjections.some(({ ejected }) => ejected > 0)) return;
    for (const endpoint of upstream.endpoints) {
      if (!isOut(endpoint)) continue;
      const watch = this.byEndpoint.get(endpoint);
      if (watch !== undefined) {
        watch.look();
        continue;
      }
      const scheme = tls === 'mesh' ? 'https' : 'http';
      const calls = new HealthCalls({ scheme, authority: name, service: '' });
      const ties: RecoveryDeps = {
        context: this.context,
        onAnswer: (result) => this.count(name, result),
        onOver: () => void this.byEndpoint.delete(endpoint),
      };
      const recovery = new RecoveryProbe(upstream, endpoint, calls, ties);
      this.byEndpoint.set(endpoint, recovery);
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
  removeUpstream(name: string): void {
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
    for (const recovery of this.byEndpoint.values()) recovery.stop();
    this.byEndpoint.clear();
  }
}

interface RecoveryDeps {
  readonly context: DataPlaneContext;
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

class RecoveryProbe extends WheelEntry {
  private probe: Probe | undefined;
  /** Its next question was planned while it was so. */
  private wasDown = false;

  constructor(
    private readonly cluster: Cluster,
    private readonly endpoint: Endpoint,
    private readonly calls: HealthCalls,
    private readonly deps: RecoveryDeps,
  ) {
    super();
  }

  /** One that turns out to be down is asked soon. */
  look(): void {
    if (this.wasDown || !this.endpoint.ejection.isDown) return;
    this.deps.context.wheel.cancel(this);
    this.plan();
  }

  plan(): void {
    const { context } = this.deps;
    const now = context.clock.now();
    const { failedProbes, isDown } = this.endpoint.ejection;
    this.wasDown = isDown;
    const jitter = 1 + JITTER * (2 * context.random() - 1);
    const intervalMs = INTERVAL_MS * 2 ** Math.min(failedProbes, MOST_DOUBLINGS);
    const dueMs = isDown ? now : Math.max(now + UNTRIED_MS, untriedFromMs(this.endpoint)) - intervalMs;
    context.wheel.add(this, dueMs + intervalMs * jitter);
  }

  stop(): void {
    this.deps.context.wheel.cancel(this);
    this.drop();
  }

  fire(): void {
    if (this.cluster.isRetired || !isOut(this.endpoint)) {
      this.drop();
      return this.deps.onOver();
    }
    const now = this.deps.context.clock.now();
    this.deps.context.nowMs = now;
    const { isDown } = this.endpoint.ejection;
    if ((isDown || isUntried(this.endpoint, now)) && this.probe?.isPending !== true) this.ask(now);
    this.plan();
  }

  private ask(nowMs: number): void {
    this.drop();
    const { ejection, ejections, pool } = this.endpoint;
    const timeoutMs = INTERVAL_MS * 2;
    this.probe = this.calls.ask(pool, nowMs, timeoutMs, (result) => {
      this.probe = undefined;
      this.deps.onAnswer(result);
      if (!isOut(this.endpoint)) return;
      const now = this.deps.context.clock.now();
      if (result === 'failed') ejections.staysDown(ejection, now);
      if (result !== 'passed') return;
      if (isUntried(this.endpoint, now)) this.cluster.readmitUntried(this.endpoint);
      else ejections.probeNow(ejection, now);
    });
  }

  private drop(): void {
    this.probe?.cancel();
    this.probe = undefined;
  }
}
