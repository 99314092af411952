import type { FaultAdmin } from '../admin/faults.js';
import type { RolloutAdmin } from '../admin/rollouts.js';
import type { SidecarView } from '../admin/view.js';
import type { SidecarConfig } from '../config/model.js';
import type { Consul } from '../discovery/consul/consul.js';
import type { Metric } from '../telemetry/metric.js';
import type {
  CallCounts,
  DefectReport,
  DnsReport,
  EndpointReport,
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
import type { OutboundSide } from './outbound-side.js';
import type { TraceSink } from './traces/trace-sink.js';

/**
 * What the admin server and the command line read of a running sidecar, from the parts that
 * `Sidecar` builds. Nothing is counted or stored here: each report is made when it is asked for.
 */
export abstract class SidecarReports implements Omit<SidecarView, 'drain' | 'takeOver'> {
  readonly service: string;
  readonly instance: string;
  readonly version: string;
  readonly pid: number | undefined;
  readonly restarts: number | undefined;

  protected abstract readonly context: AppContext;
  protected abstract readonly outbound: OutboundSide;
  protected abstract readonly accessLog: AccessLogSink;
  protected abstract readonly traces: TraceSink;
  protected abstract readonly audit: AuditSink;
  protected abstract readonly taps: OpenTaps;
  protected abstract readonly faultController: FaultController;
  /** Undefined in a sidecar beside a caller only. */
  protected inbound: InboundSide | undefined;
  /** Undefined without a `consul` block. */
  protected consul: Consul | undefined;
  /** Undefined without certificates, and until `start`. */
  protected identity: MeshIdentity | undefined;
  protected draining: Promise<void> | undefined;
  protected rejectedReloads = 0;

  constructor(
    protected current: SidecarConfig,
    {
      version,
      pid,
      restarts,
    }: { readonly version: string; readonly pid?: number; readonly restarts?: number },
  ) {
    this.service = current.service;
    this.instance = current.instance;
    this.version = version;
    this.pid = pid;
    this.restarts = restarts;
  }

  notReady(): readonly string[] {
    return [
      ...(this.draining ? ['draining'] : []),
      ...this.internalErrors(),
      ...this.ownReasons(),
      ...(this.inbound?.notReady() ?? []),
      ...this.outbound.notReady(),
    ];
  }

  private internalErrors(): string[] {
    const { unsafe } = this.context.dataPlane.containment;
    return unsafe === '' ? [] : [`${unsafe}: this process ends, see its log`];
  }

  /**
   * Reasons against readiness in the sidecar itself: its identity, and Consul; not its models and
   * upstreams.
   */
  protected ownReasons(): string[] {
    const problem = this.identity?.problem;
    return [...(problem === undefined ? [] : [`identity: ${problem}`]), ...(this.consul?.notReady() ?? [])];
  }

  endpoints(): readonly EndpointReport[] {
    return this.outbound.outbounds.flatMap(({ clusters }) =>
      clusters.flatMap((cluster) => reportsOf(cluster, this.nowMs())),
    );
  }

  queue(): QueueReport | undefined {
    const backends = this.inbound?.inbound.backends.flatMap(({ queues }) => queues.all);
    return backends && backends.length > 0 ? queueReportOfAll(backends, this.nowMs()) : undefined;
  }

  mirrors(): readonly MirrorReport[] {
    return mirrorReports(this.outbound.outbounds, this.nowMs());
  }

  sizeLimits(): readonly SizeLimitReport[] {
    return sizeLimitReports(this.outbound.outbounds);
  }

  methods(): readonly MethodReport[] {
    return methodReports(this.outbound.outbounds);
  }

  defects(): DefectReport | undefined {
    const { stats, containment } = this.context.dataPlane;
    const { last } = containment;
    if (last === null) return undefined;
    return { count: stats.defects, message: last.message, agoMs: this.nowMs() - last.atMs };
  }

  poison(): readonly PoisonReport[] {
    return poisonReports(this.outbound.poison, this.nowMs());
  }

  faults(): FaultAdmin {
    return this.faultController;
  }

  model(): ModelReport | undefined {
    return this.inbound?.model();
  }

  models(): readonly ModelReport[] {
    return this.inbound?.models() ?? [];
  }

  rollouts(): RolloutAdmin | undefined {
    return this.inbound?.rollouts;
  }

  lives(): readonly LifeReport[] {
    return this.inbound?.lives.reports() ?? [];
  }

  registry(): RegistryReport | undefined {
    return this.consul?.report();
  }

  dns(): readonly DnsReport[] {
    return this.outbound.dns.reports();
  }

  openTap(options: TapOptions, sink: TapSink): ReturnType<OpenTap> {
    return this.taps.open(options, sink);
  }

  calls(): CallCounts {
    const ended = { inbound: 0, outbound: 0 };
    for (const { direction, started, inFlight } of this.context.dataPlane.stats.calls)
      ended[direction] += started - inFlight;
    return ended;
  }

  certificateEndsInS(): number | undefined {
    const seconds = this.identity?.secondsLeft;
    return seconds === undefined ? undefined : Math.round(seconds);
  }

  metrics(): readonly Metric[] {
    const { outbounds, health } = this.outbound;
    const { stats, memory } = this.context.dataPlane;
    return [
      ...sizeLimitMetrics(outbounds),
      ...metricsOf({
        stats,
        memory,
        outbounds,
        inbound: this.inbound?.inbound,
        rejectedReloads: this.rejectedReloads,
        rotations: this.identity?.rotations ?? 0,
        leafSecondsLeft: this.identity?.secondsLeft,
        leafLifetimeSeconds: this.identity?.lifetimeSeconds,
      }),
      ...processMetrics({ ...this.names(), models: this.models() }),
      ...trafficShiftMetrics(outbounds),
      ...faultMetrics(this.faultController),
      ...health.metrics(),
      ...this.accessLog.metrics(),
      ...this.traces.metrics(),
      ...this.audit.metrics(),
      ...(this.consul?.metrics() ?? []),
      ...this.outbound.dns.metrics(),
      ...(this.inbound?.statuses.metrics() ?? []),
      ...(this.inbound === undefined ? [] : lifeMetrics(this.inbound.lives)),
      ...(this.inbound?.recycler === undefined ? [] : recycleMetrics(this.inbound.recycler)),
      ...(this.inbound?.statistics === undefined
        ? []
        : inferenceMetrics(this.inbound.statistics, this.inbound.inbound.backends)),
      ...(this.inbound?.repository === undefined
        ? []
        : repositoryMetrics(this.inbound.repository.repository)),
    ];
  }

  config(): unknown {
    if (this.consul === undefined) return this.current;
    return { ...this.current, unsupported: this.consul.report().unsupported };
  }

  private names() {
    const { service, instance, version } = this;
    return { service, instance, version };
  }

  private nowMs(): number {
    return this.context.deps.clock.now();
  }
}
