import { ignoresLoad } from '../../cluster/balancer-for.js';
import type { Cluster } from '../../cluster/cluster.js';
import { readmitUntried } from '../../cluster/ejection-events.js';
import type { Endpoint } from '../../cluster/endpoint.js';
import { ReturnShare } from '../../cluster/priority-level.js';
import type { UpstreamConfig } from '../../config/model.js';
import type { CheckResult } from '../../core/health/health-check.js';
import { isBeyondChecks } from '../../core/outlier/detectors.js';
import { EjectionState } from '../../core/outlier/ejection.js';
import { getOrInsert } from '../../runtime/get-or-insert.js';
import { WheelEntry } from '../../runtime/time/timing-wheel.js';
import type { Metric } from '../../telemetry/metric.js';
import { metric } from '../../telemetry/metric-rows.js';
import type { DataPlaneContext } from '../../transport/context.js';
import { HealthCalls, type Probe } from './probes.js';

/**
 * Time between two probes; doubled for each failed trial after a probe that passed, up to eight
 * times as long.
 */
const INTERVAL_MS = 500;
const MOST_DOUBLINGS = 3;
/**
 * An endpoint whose trial is due for this long without a call is probed; longer than
 * `PREFERRED_PROBE_WAIT_MS` of outbound.
 */
const UNTRIED_MS = 6_000;
/** Callers of the same model do not probe at the same time. */
const JITTER = 0.2;

/** Results that a counter begins with at 0. */
const RESULTS: readonly CheckResult[] = ['passed', 'failed', 'silent'];

/**
 * Probes ejected endpoints that calls cannot bring back: those whose own sidecar reported a dead
 * model, and those whose trial is due while no call comes. A probe that passes allows the next
 * trial, or re-admits the endpoint.
 */
export class RecoveryProbes {
  /** Probes by upstream and result. */
  private readonly counts = new Map<string, Map<CheckResult, number>>();
  private readonly byEndpoint = new Map<Endpoint, RecoveryProbe>();

  constructor(private readonly context: DataPlaneContext) {}

  /** To be called after a change of the cluster's endpoints or ejections. */
  update(cluster: Cluster, { name, tls }: UpstreamConfig): void {
    // A counter that begins at 0 shows its first step.
    if (!this.counts.has(name)) this.counts.set(name, new Map(RESULTS.map((result) => [result, 0])));
    if (!cluster.allEjections.some(({ members }) => members.ejected > 0)) return;
    for (const endpoint of cluster.endpoints) {
      if (!isOut(endpoint)) continue;
      const known = this.byEndpoint.get(endpoint);
      if (known !== undefined) {
        known.look();
        continue;
      }
      const scheme = tls === 'mesh' ? 'https' : 'http';
      const calls = new HealthCalls({ scheme, authority: name, service: '' });
      const onAnswer = (result: CheckResult): void => this.count(name, result);
      const onOver = (): void => void this.byEndpoint.delete(endpoint);
      const deps: RecoveryDeps = { context: this.context, onAnswer, onOver };
      const recovery = new RecoveryProbe(cluster, endpoint, calls, deps);
      this.byEndpoint.set(endpoint, recovery);
      recovery.plan();
    }
  }

  metrics(): Metric[] {
    if (this.counts.size === 0) return [];
    const samples = [...this.counts].flatMap(([upstream, results]) =>
      [...results].map(([result, value]) => ({ labels: { upstream, result }, value })),
    );
    return [metric('outrider_recovery_checks_total', samples)];
  }

  /** Forgets the counters of an upstream. */
  removeUpstream(name: string): void {
    this.counts.delete(name);
  }

  private count(upstream: string, result: CheckResult): void {
    const results = getOrInsert(this.counts, upstream, () => new Map());
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

/**
 * Whether a probe that passes re-admits the endpoint. Not while a configured health check fails.
 */
function isUntried(cluster: Cluster, endpoint: Endpoint, nowMs: number): boolean {
  const { ejection, unhealthy } = endpoint;
  if (ejection.state !== EjectionState.ejected || unhealthy !== '') return false;
  return nowMs >= ejection.untilMs + UNTRIED_MS && !awaitsSequence(cluster, endpoint);
}

/**
 * Whether one call of a sequence has to show that the endpoint is well (outbound/ejection-probe.ts): a check cannot, and all sequences that would go
 * there lose their state, once more if it is ejected again.
 */
function awaitsSequence({ config, priorities }: Cluster, endpoint: Endpoint): boolean {
  if (!ignoresLoad(config.balance) || !isBeyondChecks(endpoint.ejection.detector)) return false;
  return priorities.shareOnReturn(endpoint) !== ReturnShare.none;
}

class RecoveryProbe extends WheelEntry {
  private probe: Probe | undefined;
  /** Of the probe before; undefined: there was none. */
  private lastResult: CheckResult | undefined;
  /** Whether the endpoint was reported down when the next probe was planned. */
  private wasDown = false;
  /** When the trial was due that the next probe was planned by, monotonic ms. */
  private plannedUntilMs = 0;

  constructor(
    private readonly cluster: Cluster,
    private readonly endpoint: Endpoint,
    private readonly calls: HealthCalls,
    private readonly deps: RecoveryDeps,
  ) {
    super();
  }

  /** Plans the next probe sooner for an endpoint that is reported down now, or whose trial is due sooner. */
  look(): void {
    const { isDown, untilMs } = this.endpoint.ejection;
    if ((this.wasDown || !isDown) && untilMs >= this.plannedUntilMs) return;
    this.deps.context.wheel.cancel(this);
    this.plan();
  }

  plan(): void {
    const { context } = this.deps;
    const now = context.clock.now();
    const { failedProbes, isDown, untilMs } = this.endpoint.ejection;
    this.wasDown = isDown;
    this.plannedUntilMs = untilMs;
    const jitter = 1 + JITTER * (2 * context.random() - 1);
    const intervalMs = INTERVAL_MS * 2 ** Math.min(failedProbes, MOST_DOUBLINGS);
    const dueMs = isDown ? now : Math.max(now, untilMs) + UNTRIED_MS - intervalMs;
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
    if ((isDown || isUntried(this.cluster, this.endpoint, now)) && this.probe?.isPending !== true)
      this.ask(now);
    this.plan();
  }

  private ask(nowMs: number): void {
    this.drop();
    const { ejection, ejections, pool } = this.endpoint;
    const onResult = (result: CheckResult): void => this.onResult(result, { ejection, ejections });
    this.probe = this.calls.ask(pool, { nowMs, timeoutMs: INTERVAL_MS * 2, onResult });
  }

  private onResult(result: CheckResult, at: Pick<Endpoint, 'ejection' | 'ejections'>): void {
    const { ejection, ejections } = at;
    this.probe = undefined;
    this.deps.onAnswer(result);
    const isRepeated = result === this.lastResult;
    this.lastResult = result;
    if (!isOut(this.endpoint)) return;
    const now = this.deps.context.clock.now();
    if (result === 'failed') ejections.staysDown(ejection, now);
    if (result !== 'passed') return;
    if (isUntried(this.cluster, this.endpoint, now)) readmitUntried(this.cluster, this.endpoint);
    // Calls have reached it and proved nothing since: a check that passes once more is no reason for another call at once.
    else if (!isRepeated || ejection.inconclusiveProbes === 0) ejections.members.probeNow(ejection, now);
  }

  private drop(): void {
    this.probe?.cancel();
    this.probe = undefined;
  }
}
