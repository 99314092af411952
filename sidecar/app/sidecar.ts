/**
 * Builds every part from the configuration, in start order, and stops them in the reverse one.
 *
 *   registry → identity → upstreams (connections) → inbound (local model) → listeners → admin → entry in the catalogue
 *
 * The end: leave the catalogue's healthy ones → GOAWAY → calls finish → leave the catalogue → close.
 */

import type { FaultAdmin } from '../admin/faults.js';
import { type AdminServer, startAdmin } from '../admin/server.js';
import type { SidecarView, TakeoverAnswer } from '../admin/view.js';
import type { Address, InboundConfig, SidecarConfig } from '../config/model.js';
import { Consul } from '../discovery/consul/consul.js';
import { DEFAULT_LOCAL_SETTINGS } from '../http2/settings.js';
import { EventLoopMonitor } from '../runtime/process/event-loop-monitor.js';
import { TimingWheel } from '../runtime/time/timing-wheel.js';
import { deferToTurnEnd } from '../runtime/time/turn-end.js';
import { StatsRegistry } from '../telemetry/call-stats.js';
import type { ModelReport } from '../telemetry/reports.js';
import type { DataPlaneContext } from '../transport/context.js';
import { dialPlain } from '../transport/dial.js';
import { FlushScheduler } from '../transport/flush-scheduler.js';
import { MemoryBudget } from '../transport/memory-budget.js';
import { AccessLogSink } from './access-log-sink.js';
import { type AppContext, type Deps, frameBuckets } from './context.js';
import { poisonReports, queueReportOfAll, reportsOf } from './endpoint-report.js';
import { FaultController } from './fault-controller.js';
import { InboundSide } from './inbound-side.js';
import { metricsOf } from './metrics/traffic.js';
import { faultMetrics, mirrorReports, trafficShiftMetrics } from './metrics/traffic-shift.js';
import type { ModelHost } from './model-host.js';
import { OutboundSide } from './outbound-side.js';
import { restartPaths } from './restart-required.js';
import { ServiceRegistration } from './service-registration.js';
import { TlsIdentity } from './tls-identity.js';

export interface Addresses {
  readonly inbound?: Address;
  readonly upstreams: Readonly<Record<string, Address>>;
  readonly shared?: Address;
  readonly admin?: Address;
}

/** What a reload did. `needsRestart`: changed options that only a restart takes over, as paths. */
export interface ReloadResult {
  readonly needsRestart: readonly string[];
}

/** A stall of our own event loop makes verdicts from elapsed time doubtful for this long, ms. */
const STALL_MEMORY_MS = 1000;

/** A process of models, as its supervisor needs it. */
export type OwnedModel = Pick<
  ModelHost,
  'model' | 'address' | 'activity' | 'processChanged' | 'processEnded' | 'superviseBy' | 'report'
>;

export interface RunningSidecar extends SidecarView {
  readonly addresses: Addresses;
  reload(config: SidecarConfig): Promise<ReloadResult>;
  /** A changed configuration was refused; counted only. */
  reloadRejected(): void;
  /** Files of the log may have been moved away: they are opened anew. */
  reopenLogs(): void;
  /** The processes of the models, where this sidecar has any; their supervisor says how they are. */
  readonly hosts: readonly OwnedModel[];
  /** Called after every change of a model's state. */
  onModel(listener: () => void): void;
  /** A successor's end of waiting: it accepts, and enters the catalogue. */
  accept(): void;
  /** A successor accepts: a drain from now on leaves the catalogue and the paths of sockets to it. */
  handOver(): void;
  /** How `takeOver` is done. */
  setTakeover(takeOver: () => Promise<TakeoverAnswer>): void;
  stop(): Promise<void>;
}

/** Starts everything; rejects, with nothing left running, when an address is taken or a file is unusable. */
export async function startSidecar(config: SidecarConfig, deps: Deps): Promise<RunningSidecar> {
  const app = new Sidecar(config, deps);
  try {
    await app.start();
  } catch (error) {
    await app.stop();
    throw error;
  }
  return app;
}

class Sidecar implements RunningSidecar {
  readonly service: string;
  readonly instance: string;
  readonly version: string;
  readonly restarts: number | undefined;

  private readonly context: AppContext;
  private readonly loopMonitor: EventLoopMonitor;
  private consul: Consul | undefined;
  private identity: TlsIdentity | undefined;
  private readonly accessLog: AccessLogSink;
  private readonly outbound: OutboundSide;
  private readonly faultController: FaultController;
  private inbound: InboundSide | undefined;
  private admin: AdminServer | undefined;
  private registration: ServiceRegistration | undefined;
  private rejectedReloads = 0;
  private draining: Promise<void> | undefined;
  private isStopped = false;
  private isHandedOver = false;
  private startTakeover: () => Promise<TakeoverAnswer> = async () => ({
    ok: false,
    why: 'not possible here',
  });

  constructor(
    private current: SidecarConfig,
    private readonly deps: Deps,
  ) {
    this.service = current.service;
    this.instance = current.instance;
    this.version = deps.version;
    this.restarts = deps.restarts;
    this.loopMonitor = new EventLoopMonitor(deps.clock, deps.timers, {
      isBusy: () => this.context.dataPlane.stats.calls.some((kind) => kind.inFlight > 0),
    });
    const { limits } = current;
    const settings = {
      ...DEFAULT_LOCAL_SETTINGS,
      maxConcurrentStreams: limits.maxConcurrentStreams,
      maxHeaderBytes: limits.maxHeaderBytes,
      maxHeaderFields: limits.maxHeaderFields,
      buckets: frameBuckets(limits.framesPerSecond),
    };
    this.context = { deps, dataPlane: this.makeRelay(), settings, limits };
    this.accessLog = new AccessLogSink(current, this.context);
    this.accessLog.update(current.accessLog);
    this.outbound = this.makeOutbound();
    this.faultController = new FaultController(
      current.faultInjection === true,
      this.context.dataPlane,
      () => this.outbound.outbounds.map(({ name }) => name),
      (faults) => {
        this.outbound.setFaults(faults);
        if (this.inbound !== undefined) this.inbound.inbound.faults = faults;
      },
    );
  }

  private makeRelay(): DataPlaneContext {
    const { clock, random, timers, logger } = this.deps;
    return {
      clock,
      random,
      logger,
      wheel: new TimingWheel(clock, timers),
      flushes: new FlushScheduler((flush) => {
        this.loopMonitor.start(); // there is something to send, so there is work
        deferToTurnEnd(flush);
      }),
      stats: new StatsRegistry(),
      memory: new MemoryBudget(this.current.limits.memoryBudgetBytes),
      recorder: null,
      nowMs: clock.now(),
      hasStalled: () => this.loopMonitor.hasStalled(STALL_MEMORY_MS),
    };
  }

  private makeOutbound(): OutboundSide {
    const app = this;
    return new OutboundSide(
      this.current.outbound ?? { upstreams: [] },
      {
        dial: (address, peer, mode) =>
          mode === 'mesh' ? this.identity?.dial(address, peer) : dialPlain(address),
        whyNoDial: () => this.identity?.whyNoDial() ?? 'this sidecar has no identity',
        get discovery() {
          return app.consul;
        },
      },
      this.context,
    );
  }

  // ---- start ----

  async start(): Promise<void> {
    const { inbound, admin, consul: settings } = this.current;
    const { deps } = this;
    if (settings !== undefined) {
      const isAnswering = (address: Address): boolean => this.outbound.isAnswering(address);
      this.consul = new Consul(this.current, settings, { ...deps, isAnswering });
    }
    this.openIdentity();
    await this.outbound.start();
    if (inbound) await this.startInbound(inbound);
    if (admin) this.admin = await startAdmin(admin, this, this.deps.sockets);
    if (this.deps.sockets?.isSuccessor !== true) this.register();
  }

  private openIdentity(): void {
    const source = this.consul?.identity;
    this.identity =
      source === undefined
        ? TlsIdentity.fromFiles(this.current, this.context)
        : new TlsIdentity(source, this.context);
    this.identity?.onRotated(() => this.outbound.refreshConnections());
    this.identity?.onExpiry(() => this.outbound.expireConnections());
  }

  private async startInbound(config: InboundConfig): Promise<void> {
    const from = this.current.consul?.intentions === true ? 'registry' : 'file';
    const side = new InboundSide(
      config,
      this.service,
      this.identity,
      this.context,
      from,
      this.current.model?.isolation,
    );
    this.inbound = side;
    await side.start();
    this.consul?.watchIntentions((table) => side.setIntentions(table));
  }

  private register(): void {
    const { consul } = this;
    if (consul === undefined || this.current.consul?.registration === undefined) return;
    this.registration = new ServiceRegistration(
      this.current,
      {
        inbound: this.inbound,
        upstreams: () => this.current.outbound?.upstreams ?? [],
        listeners: this.outbound.addresses,
        sidecar: () => this.ownReasons(),
        onChange: () => consul.changed(),
      },
      this.context,
    );
    this.registration.start();
    consul.register(this.registration);
  }

  get addresses(): Addresses {
    const { addresses: upstreams, sharedAddress: shared } = this.outbound;
    const inbound = this.inbound?.address;
    const admin = this.admin?.address;
    return {
      upstreams,
      ...(inbound === undefined ? {} : { inbound }),
      ...(shared === undefined ? {} : { shared }),
      ...(admin === undefined ? {} : { admin }),
    };
  }

  // ---- change ----

  async reload(next: SidecarConfig): Promise<ReloadResult> {
    const before = this.current;
    await this.outbound.prepare(next.outbound);
    this.current = { ...next, ...(before.admin ? { admin: before.admin } : {}), limits: before.limits };
    if (next.inbound) this.inbound?.update(next.inbound);
    this.outbound.apply(next.outbound);
    this.accessLog.update(next.accessLog);
    this.consul?.changed();
    return { needsRestart: restartPaths(before, next) };
  }

  reloadRejected(): void {
    this.rejectedReloads++;
  }

  reopenLogs(): void {
    this.accessLog.reopen();
  }

  get hosts(): readonly OwnedModel[] {
    return this.inbound?.hosts ?? [];
  }

  onModel(listener: () => void): void {
    if (this.inbound !== undefined) this.inbound.onModel = listener;
  }

  // ---- succession ----

  accept(): void {
    this.deps.sockets?.accept();
    this.register();
  }

  handOver(): void {
    this.isHandedOver = true;
    this.deps.sockets?.keepPaths();
    this.consul?.handOver();
    this.admin?.retire();
  }

  setTakeover(takeOver: () => Promise<TakeoverAnswer>): void {
    this.startTakeover = takeOver;
  }

  takeOver(): Promise<TakeoverAnswer> {
    return this.startTakeover();
  }

  // ---- stop ----

  drain(): Promise<void> {
    this.draining ??= this.drainNow();
    return this.draining;
  }

  private async drainNow(): Promise<void> {
    if (!this.isHandedOver) await this.consul?.leave();
    const all = [...this.outbound.listeners, ...(this.inbound?.listeners ?? [])];
    this.deps.logger.info({ timeoutMs: this.current.drainTimeoutMs }, 'draining');
    let cancel = (): void => {};
    const limit = new Promise<void>((resolve) => {
      const timer = this.deps.timers.after(this.current.drainTimeoutMs, resolve);
      cancel = () => timer.cancel();
    });
    await Promise.race([Promise.all(all.map((listener) => listener.drain())), limit]);
    cancel();
    if (!this.isHandedOver) await this.consul?.deregister();
  }

  async stop(): Promise<void> {
    if (this.isStopped) return;
    this.isStopped = true;
    this.faultController.stop();
    this.outbound.stop();
    this.inbound?.stop();
    this.identity?.close();
    this.consul?.close();
    this.loopMonitor.stop();
    await this.admin?.close();
    await this.accessLog.close();
  }

  // ---- SidecarView ----

  notReady(): readonly string[] {
    const draining = this.draining ? ['draining'] : [];
    return [
      ...draining,
      ...this.ownReasons(),
      ...(this.inbound?.notReady() ?? []),
      ...this.outbound.notReady(),
    ];
  }

  /** What keeps the sidecar itself from serving, whatever its model and its upstreams do. */
  private ownReasons(): string[] {
    const problem = this.identity?.problem;
    return [...(problem === undefined ? [] : [`identity: ${problem}`]), ...(this.consul?.notReady() ?? [])];
  }

  endpoints(): ReturnType<SidecarView['endpoints']> {
    const now = this.deps.clock.now();
    return this.outbound.outbounds.flatMap(({ clusters }) =>
      clusters.flatMap((upstream) => reportsOf(upstream, now)),
    );
  }

  queue(): ReturnType<SidecarView['queue']> {
    const backends = this.inbound?.inbound.backends;
    return (
      backends &&
      queueReportOfAll(
        backends.map(({ limits }) => limits),
        this.deps.clock.now(),
      )
    );
  }

  mirrors(): ReturnType<SidecarView['mirrors']> {
    return mirrorReports(this.outbound.outbounds, this.deps.clock.now());
  }

  poison(): ReturnType<SidecarView['poison']> {
    return poisonReports(this.outbound.poison, this.deps.clock.now());
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

  registry(): ReturnType<SidecarView['registry']> {
    return this.consul?.report();
  }

  metrics(): ReturnType<SidecarView['metrics']> {
    const { stats, memory } = this.context.dataPlane;
    const own = metricsOf({
      stats,
      memory,
      outbounds: [...this.outbound.outbounds],
      inbound: this.inbound?.inbound,
      rejectedReloads: this.rejectedReloads,
      rotations: this.identity?.rotations ?? 0,
      leafSecondsLeft: this.identity?.secondsLeft,
    });
    const registry = [...(this.consul?.metrics() ?? []), ...(this.inbound?.statuses.metrics() ?? [])];
    const shaping = [...trafficShiftMetrics(this.outbound.outbounds), ...faultMetrics(this.faultController)];
    return [...own, ...shaping, ...this.outbound.health.metrics(), ...this.accessLog.metrics(), ...registry];
  }

  config(): unknown {
    if (this.consul === undefined) return this.current;
    return { ...this.current, unsupported: this.consul.report().unsupported };
  }
}
