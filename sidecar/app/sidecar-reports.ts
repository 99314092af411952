import type { FaultAdmin } from '../admin/faults.js';
import type { RolloutAdmin } from '../admin/rollouts.js';
import type { SidecarView, TakeoverAnswer } from '../admin/view.js';
import type { SidecarConfig } from '../config/model.js';
import type { CallTotals } from '../core/history/call-deltas.js';
import type { Consul } from '../discovery/consul/consul.js';
import { callTotals } from '../telemetry/call-totals.js';
import type { Metric } from '../telemetry/metric.js';
import type {
  CallCounts,
  DefectReport,
  DnsReport,
  EndpointReport,
  KubernetesReport,
  LifeReport,
  MethodReport,
  MirrorReport,
  ModelReport,
  PoisonReport,
  QueueReport,
  RegistryReport,
  SizeLimitReport,
} from '../telemetry/reports.js';
import type { OpenTaps } from '../telemetry/tap/open-taps.js';
import type { OpenTap, TapOptions, TapSink } from '../telemetry/tap/tap.js';
import type { AccessLogSink } from './access-log-sink.js';
import type { AuditSink } from './audit/audit-sink.js';
import type { AppContext } from './context.js';
import { poisonReports, queueReportOfAll, reportsOf } from './endpoint-report.js';
import type { FaultController } from './fault-controller.js';
import type { InboundSide } from './inbound-side.js';
import type { MeshIdentity } from './mesh-identity.js';
import { inferenceMetrics } from './metrics/inference.js';
import { lifeMetrics, recycleMetrics } from './metrics/lives.js';
import { methodReports } from './metrics/methods.js';
import { processMetrics } from './metrics/processes.js';
import { repositoryMetrics } from './metrics/repository.js';
import { sizeLimitMetrics, sizeLimitReports } from './metrics/size-limits.js';
import { metricsOf } from './metrics/traffic.js';
import { faultMetrics, mirrorReports, trafficShiftMetrics } from './metrics/traffic-shift.js';
import type { MetricsSink } from './metrics-export/metrics-sink.js';
import type { OutboundSide } from './outbound-side.js';
import type { TraceSink } from './traces/trace-sink.js';

/** The parts of a running sidecar as its reports read them; `Sidecar` builds and changes them. */
export interface SidecarParts {
  /** The configuration in force. */
  readonly current: SidecarConfig;
  readonly deps: { readonly version: string; readonly pid?: number; readonly restarts?: number };
  readonly context: AppContext;
  readonly outbound: OutboundSide;
  readonly accessLog: AccessLogSink;
  readonly traces: TraceSink;
  readonly metricsExport: MetricsSink;
  readonly audit: AuditSink;
  readonly taps: OpenTaps;
  readonly faultController: FaultController;
  /** Undefined in a sidecar beside a caller only. */
  readonly inbound: InboundSide | undefined;
  /** Undefined without a `consul` block. */
  readonly consul: Consul | undefined;
  /** Undefined without certificates, and until `start`. */
  readonly identity: MeshIdentity | undefined;
  readonly isDraining: boolean;
  /** Changed configurations that were invalid. */
  readonly rejectedReloads: number;
  drain(): Promise<void>;
  takeOver(): Promise<TakeoverAnswer>;
}

/**
 * What the admin server and the command line read of a running sidecar. Nothing is counted or stored here: each report is
 * made when it is asked for.
 */
export class SidecarReports implements SidecarView {
  readonly service: string;
  readonly instance: string;
  readonly version: string;
  readonly pid: number | undefined;
  readonly restarts: number | undefined;

  constructor(private readonly parts: SidecarParts) {
    const { current, deps } = parts;
    this.service = current.service;
    this.instance = current.instance;
    this.version = deps.version;
    this.pid = deps.pid;
    this.restarts = deps.restarts;
  }

  notReady(): readonly string[] {
    return [
      ...(this.parts.isDraining ? ['draining'] : []),
      ...this.internalErrors(),
      ...this.ownReasons(),
      ...(this.parts.inbound?.notReady() ?? []),
      ...this.upstreamReasons(),
    ];
  }

  notStarted(): readonly string[] {
    return [...this.internalErrors(), ...this.ownReasons(), ...this.upstreamReasons()];
  }

  unreached(): readonly string[] {
    const counted = this.upstreamReasons();
    return this.parts.outbound.unreachedReasons().filter((reason) => !counted.includes(reason));
  }

  unreachedNeeded(): readonly string[] {
    const { current, outbound } = this.parts;
    // What KEDA scales may have no replica now.
    if (current.scaler !== undefined) return [];
    const needed = outbound.neededReasons();
    return this.unreached().filter((reason) => needed.includes(reason));
  }

  /**
   * Upstreams that readiness waits for. A sidecar that others call (its model, or its answers to KEDA) waits for none: what it serves is its
   * own, and two services that call each other would wait for each other. A successor does: a fault of its own must not replace a
   * process that reaches them.
   */
  private upstreamReasons(): string[] {
    const { current, outbound } = this.parts;
    const isCalled = current.inbound !== undefined || current.scaler !== undefined;
    return isCalled && !outbound.isSuccessor ? [] : outbound.notReady();
  }

  private internalErrors(): string[] {
    const { unsafe } = this.parts.context.dataPlane.containment;
    return unsafe === '' ? [] : [`${unsafe}: this process ends, see its log`];
  }

  /**
   * Reasons against readiness in the sidecar itself: its identity, and Consul; not its models and
   * upstreams. A certificate that ends soon is none: the replicas of a service reach that age together, and without a ready one the
   * service has no address.
   */
  ownReasons(): string[] {
    const problem = this.parts.identity?.problem;
    return [
      ...(problem === undefined ? [] : [`identity: ${problem}`]),
      ...(this.parts.consul?.notReady() ?? []),
    ];
  }

  endpoints(): readonly EndpointReport[] {
    return this.parts.outbound.upstreams.flatMap(({ clusters }) =>
      clusters.flatMap((cluster) => reportsOf(cluster, this.nowMs())),
    );
  }

  queue(): QueueReport | undefined {
    const backends = this.parts.inbound?.inbound.state.backends.flatMap(({ queues }) => queues.all);
    return backends && backends.length > 0 ? queueReportOfAll(backends, this.nowMs()) : undefined;
  }

  mirrors(): readonly MirrorReport[] {
    return mirrorReports(this.parts.outbound.upstreams, this.nowMs());
  }

  sizeLimits(): readonly SizeLimitReport[] {
    return sizeLimitReports(this.parts.outbound.upstreams);
  }

  methods(): readonly MethodReport[] {
    return methodReports(this.parts.outbound.upstreams);
  }

  defects(): DefectReport | undefined {
    const { stats, containment } = this.parts.context.dataPlane;
    const { last } = containment;
    if (last === null) return undefined;
    return { count: stats.defects, message: last.message, agoMs: this.nowMs() - last.atMs };
  }

  poison(): readonly PoisonReport[] {
    return poisonReports(this.parts.outbound.poison, this.nowMs());
  }

  faults(): FaultAdmin {
    return this.parts.faultController;
  }

  model(): ModelReport | undefined {
    return this.parts.inbound?.model();
  }

  models(): readonly ModelReport[] {
    return this.parts.inbound?.models() ?? [];
  }

  rollouts(): RolloutAdmin | undefined {
    return this.parts.inbound?.rollouts;
  }

  lives(): readonly LifeReport[] {
    return this.parts.inbound?.lives.reports() ?? [];
  }

  registry(): RegistryReport | undefined {
    return this.parts.consul?.report();
  }

  dns(): readonly DnsReport[] {
    return this.parts.outbound.dns.reports();
  }

  kubernetes(): readonly KubernetesReport[] {
    return this.parts.outbound.kubernetes.reports();
  }

  openTap(options: TapOptions, sink: TapSink): ReturnType<OpenTap> {
    return this.parts.taps.open(options, sink);
  }

  calls(): CallCounts {
    const ended = { inbound: 0, outbound: 0 };
    for (const { direction, started, inFlight } of this.parts.context.dataPlane.stats.calls)
      ended[direction] += started - inFlight;
    return ended;
  }

  callTotals(): readonly CallTotals[] {
    return callTotals(this.parts.context.dataPlane.stats.calls);
  }

  certificateEndsInS(): number | undefined {
    const seconds = this.parts.identity?.secondsLeft;
    return seconds === undefined ? undefined : Math.round(seconds);
  }

  certificateWarning(): string | undefined {
    return this.parts.identity?.warning;
  }

  metrics(): readonly Metric[] {
    const { upstreams: outbounds, health } = this.parts.outbound;
    const { stats, memory } = this.parts.context.dataPlane;
    return [
      ...sizeLimitMetrics(outbounds),
      ...metricsOf({
        stats,
        memory,
        outbounds,
        inbound: this.parts.inbound?.inbound.state,
        rejectedReloads: this.parts.rejectedReloads,
        rotations: this.parts.identity?.rotations ?? 0,
        isIdentityFailing: this.parts.identity?.failure !== undefined,
        leafSecondsLeft: this.parts.identity?.secondsLeft,
        leafLifetimeSeconds: this.parts.identity?.lifetimeSeconds,
      }),
      ...processMetrics({ ...this.names(), models: this.models() }),
      ...trafficShiftMetrics(outbounds),
      ...faultMetrics(this.parts.faultController),
      ...health.metrics(),
      ...this.parts.accessLog.metrics(),
      ...this.parts.traces.metrics(),
      ...this.parts.metricsExport.metrics(),
      ...this.parts.audit.metrics(),
      ...(this.parts.consul?.metrics() ?? []),
      ...this.parts.outbound.dns.metrics(),
      ...this.parts.outbound.kubernetes.metrics(),
      ...(this.parts.inbound?.statuses.metrics() ?? []),
      ...(this.parts.inbound === undefined ? [] : lifeMetrics(this.parts.inbound.lives)),
      ...(this.parts.inbound?.recycler === undefined ? [] : recycleMetrics(this.parts.inbound.recycler)),
      ...(this.parts.inbound?.statistics === undefined
        ? []
        : inferenceMetrics(this.parts.inbound.statistics, this.parts.inbound.inbound.state.backends)),
      ...(this.parts.inbound?.repository === undefined
        ? []
        : repositoryMetrics(this.parts.inbound.repository.repository)),
    ];
  }

  config(): unknown {
    if (this.parts.consul === undefined) return this.parts.current;
    return { ...this.parts.current, unsupported: this.parts.consul.report().unsupported };
  }

  drain(): Promise<void> {
    return this.parts.drain();
  }

  takeOver(): Promise<TakeoverAnswer> {
    return this.parts.takeOver();
  }

  private names() {
    const { service, instance, version } = this;
    return { service, instance, version };
  }

  private nowMs(): number {
    return this.parts.context.deps.clock.now();
  }
}
