import { startObserve } from '../admin/observe.js';
import { type AdminServer, startAdmin } from '../admin/server.js';
import type { TakeoverAnswer } from '../admin/view.js';
import type { Address, InboundConfig, SidecarConfig } from '../config/model.js';
import { defined } from '../config/present.js';
import { Consul } from '../discovery/consul/consul.js';
import { EventLoopMonitor } from '../runtime/process/event-loop-monitor.js';
import type { Unreached } from '../runtime/process/inherited-sockets.js';
import { AuditKind } from '../telemetry/audit/trail.js';
import { Recorders } from '../telemetry/recorders.js';
import { OpenTaps } from '../telemetry/tap/open-taps.js';
import { AccessLogSink } from './access-log-sink.js';
import { AuditSink } from './audit/audit-sink.js';
import { configHash } from './audit/config-hash.js';
import { CallDrain } from './call-drain.js';
import type { AppContext, Deps } from './context.js';
import { createDataPlane, localSettings } from './data-plane.js';
import { FaultController } from './fault-controller.js';
import { InboundSide } from './inbound-side.js';
import type { MeshIdentity } from './mesh-identity.js';
import { MetricsSink } from './metrics-export/metrics-sink.js';
import type { SuspectModel } from './models/recycler.js';
import { FileStore } from './models/rollout/file-store.js';
import type { RolloutStore } from './models/rollout/store.js';
import { OutboundSide } from './outbound-side.js';
import { ProcessFaults } from './process-fault-control.js';
import { StartedWith } from './restart-required.js';
import type { Addresses, OwnedModel, ReloadResult, RunningSidecar } from './running-sidecar.js';
import { Scaler } from './scaler/scaler.js';
import { ServiceRegistration } from './service-registration.js';
import { type SidecarParts, SidecarReports } from './sidecar-reports.js';
import { TlsIdentity } from './tls-identity.js';
import { TraceSink } from './traces/trace-sink.js';

/**
 * Starts a sidecar. Rejects, with nothing left running, when an address is in use or a file cannot
 * be used.
 */
export async function startSidecar(config: SidecarConfig, deps: Deps): Promise<RunningSidecar> {
  const sidecar = new Sidecar(config, deps);
  try {
    await sidecar.start();
  } catch (error) {
    await sidecar.stop();
    throw error;
  }
  return sidecar;
}

/**
 * Builds the parts of a sidecar and starts them in this order: Consul, identity, upstreams with
 * their listeners, model servers and the inbound listener, admin server, registration. The drain:
 * turn critical in Consul, wait for that to spread, GOAWAY on every connection, wait for calls in flight, deregister; `stop`
 * then closes the parts.
 */
class Sidecar implements RunningSidecar, SidecarParts {
  readonly view: SidecarReports;
  readonly context: AppContext;
  readonly accessLog: AccessLogSink;
  readonly traces: TraceSink;
  readonly metricsExport: MetricsSink;
  readonly audit: AuditSink;
  readonly taps: OpenTaps;
  readonly outbound: OutboundSide;
  readonly faultController: FaultController;
  inbound: InboundSide | undefined;
  consul: Consul | undefined;
  identity: MeshIdentity | undefined;
  rejectedReloads = 0;
  private draining: Promise<void> | undefined;
  private readonly processFaults: ProcessFaults;
  private readonly loopMonitor: EventLoopMonitor;
  private admin: AdminServer | undefined;
  private scaler: Scaler | undefined;
  private observe: AdminServer | undefined;
  private readonly startedWith: StartedWith;
  private isStopped = false;
  private isHandedOver = false;
  private startTakeover = async (): Promise<TakeoverAnswer> => ({ ok: false, why: 'not possible here' });

  constructor(
    public current: SidecarConfig,
    readonly deps: Deps,
  ) {
    this.view = new SidecarReports(this);
    this.startedWith = new StartedWith(current);
    this.loopMonitor = new EventLoopMonitor(deps.clock, deps.timers, () =>
      this.context.dataPlane.stats.calls.some(({ inFlight }) => inFlight > 0),
    );
    this.audit = new AuditSink(current, deps);
    const dataPlane = createDataPlane(current, deps, this.loopMonitor, this.audit.trail);
    this.context = { deps, dataPlane, settings: localSettings(current), limits: current.limits };
    const recorders = new Recorders(dataPlane);
    this.taps = new OpenTaps(current.service, dataPlane, deps.timers, (taps) => recorders.set('tap', taps));
    this.traces = new TraceSink(current, this.context, recorders);
    this.metricsExport = new MetricsSink(current, this.context, () => this.view.metrics());
    this.accessLog = new AccessLogSink(current, this.context, recorders);
    this.accessLog.update(current.accessLog);
    this.outbound = this.createOutbound();
    const permission = current.faultInjection;
    const hosts = () => this.inbound?.hosts ?? [];
    this.processFaults = new ProcessFaults({ permission, context: this.context, hosts });
    this.faultController = new FaultController({
      isAllowed: permission !== undefined,
      processes: this.processFaults,
      dataPlane,
      upstreamNames: () => this.outbound.upstreams.map(({ name }) => name),
      onChange: (faults) => {
        this.outbound.setFaults(faults);
        if (this.inbound !== undefined) this.inbound.inbound.state.faults = faults;
      },
    });
  }

  private createOutbound(): OutboundSide {
    const consul = () => this.consul;
    return new OutboundSide(
      this.current.outbound ?? { upstreams: [] },
      {
        service: this.current.service,
        isScaler: this.current.scaler !== undefined,
        dial: (address, peer, mode) =>
          mode === 'mesh' ? this.identity?.dial(address, peer) : this.context.dataPlane.network.dial(address),
        stillTrusts: (session, peer) => this.identity?.stillTrusts(session, peer) ?? true,
        whyNoDial: () => this.identity?.whyNoDial() ?? 'this sidecar has no identity',
        get discovery() {
          return consul();
        },
      },
      this.context,
    );
  }

  // ---- start ----

  async start(): Promise<void> {
    const { inbound, admin, adminTokenFile: tokenFile, observe, consul, scaler } = this.current;
    const { sockets, clock, timers } = this.deps;
    if (consul !== undefined) {
      const isAnswering = (address: Address): boolean => this.outbound.isAnswering(address);
      const agent = new Consul(this.current, consul, { ...this.deps, isAnswering });
      this.consul = agent;
      this.audit.publishTo((head) => agent.keepAuditHead(head));
    }
    this.audit.trail.record(AuditKind.configured, {
      config: configHash(this.current),
      version: this.view.version,
    });
    this.openIdentity();
    await this.traces.update(this.current.traces);
    await this.outbound.start();
    if (inbound) await this.startInbound(inbound);
    if (admin)
      this.admin = await startAdmin(admin, this.view, { sockets, tokenFile, time: { clock, timers } });
    if (scaler) await this.startScaler(scaler);
    if (observe) this.observe = await startObserve(observe, this.view, { sockets, clock });
    await this.metricsExport.update(this.current.metrics);
    if (sockets?.isSuccessor !== true) this.register();
  }

  private async startScaler({ listen }: NonNullable<SidecarConfig['scaler']>): Promise<void> {
    const scaler = new Scaler(listen, this.outbound, this.context);
    await scaler.start();
    this.scaler = scaler;
  }

  private openIdentity(): void {
    const source = this.consul?.identity;
    this.identity = this.deps.openIdentity?.(this.context);
    if (this.identity === undefined && source !== undefined)
      this.identity = new TlsIdentity(source, this.context);
    this.identity ??= TlsIdentity.fromFiles(this.current, this.context);
    this.identity ??= TlsIdentity.fromSpire(this.current, this.context);
    this.audit.signBy(() => this.identity?.current);
    this.identity?.onRotated((change) => this.outbound.refreshConnections(change));
    this.identity?.onExpiry(() => this.outbound.expireConnections());
  }

  private async startInbound(config: InboundConfig): Promise<void> {
    const { identity, current } = this;
    const inbound = new InboundSide(config, this.context, {
      service: this.view.service,
      instance: current.instance,
      stateDir: current.stateDir,
      rolloutStore: this.rolloutStore(),
      identity,
      intentionsFrom: current.consul?.intentions === true ? 'registry' : 'file',
      process: current.model,
      drainTimeoutMs: () => this.current.drainTimeoutMs,
    });
    this.inbound = inbound;
    inbound.inbound.state.upstreamFailures = this.outbound.failures;
    await inbound.start();
    this.consul?.watchIntentions((table) => inbound.setIntentions(table));
  }

  /** Consul where there is one; else a directory of this machine. */
  private rolloutStore(): RolloutStore | undefined {
    const { consul } = this;
    const { service, instance } = this.view;
    const { stateDir } = this.current;
    if (consul !== undefined) return consul.rolloutStore(service, instance);
    const isSuccessor = (): boolean => this.deps.sockets?.isSuccessor === true;
    return stateDir === undefined ? undefined : new FileStore(stateDir, instance, this.deps, isSuccessor);
  }

  private register(): void {
    const { consul } = this;
    if (consul?.keepsEntry !== true) return;
    const registration = new ServiceRegistration(this.current, {
      version: this.view.version,
      inbound: this.inbound,
      upstreams: () => this.current.outbound?.upstreams ?? [],
      listeners: this.outbound.addresses,
      observe: this.observe?.address,
      sidecar: () => this.view.ownReasons(),
      onChange: () => consul.changed(),
      time: this.deps,
    });
    registration.start();
    consul.register(registration);
  }

  get addresses(): Addresses {
    const { addresses: upstreams, sharedAddress: shared } = this.outbound;
    const inbound = this.inbound?.address;
    const admin = this.admin?.address;
    const observe = this.observe?.address;
    const scaler = this.scaler?.address;
    return { upstreams, ...defined({ inbound, shared, admin, observe, scaler }) };
  }

  // ---- change ----

  /**
   * What can fail (opening listeners) comes first, so that a reload happens as a whole or not at
   * all.
   */
  async reload(next: SidecarConfig): Promise<ReloadResult> {
    const before = this.current;
    await this.outbound.prepare(next.outbound);
    // Upstreams tell their endpoints whether calls are traced here.
    await this.traces.update(next.traces);
    await this.metricsExport.update(next.metrics);
    this.current = this.startedWith.inForce(next, before);
    const { inbound, model } = this.current;
    if (next.inbound !== undefined && inbound !== undefined) this.inbound?.update(inbound);
    if (model?.rollout !== undefined) this.inbound?.repository?.choose(model.versions);
    this.outbound.apply(next.outbound);
    this.accessLog.update(next.accessLog);
    this.consul?.changed();
    const needsRestart = this.startedWith.reloaded(next);
    this.audit.trail.record(AuditKind.configured, { config: configHash(next), needsRestart });
    return { needsRestart };
  }

  reloadRejected(problem: string): void {
    this.rejectedReloads++;
    this.audit.trail.record(AuditKind.configRefused, { problem });
  }

  reopenLogs(): void {
    this.accessLog.reopen();
  }

  get hosts(): readonly OwnedModel[] {
    return this.inbound?.hosts ?? [];
  }

  ownModels(start: (host: OwnedModel) => void): void {
    this.inbound?.ownModels(start);
  }

  suspect(suspect: SuspectModel, cause: string): void {
    this.inbound?.suspect(suspect, cause);
  }

  onModel(listener: () => void): void {
    if (this.inbound !== undefined) this.inbound.onModel = listener;
  }

  // ---- internal errors ----

  onUnsafe(listener: (why: string) => void): void {
    this.context.dataPlane.containment.onUnsafe = listener;
  }

  uncaught(error: unknown): void {
    this.context.dataPlane.containment.contain(null, error);
  }

  // ---- takeover ----

  get unreached(): Unreached {
    return this.outbound.unreached;
  }

  accept(): void {
    this.deps.sockets?.accept();
    void this.metricsExport.release();
    this.register();
  }

  handOver(): void {
    this.isHandedOver = true;
    // From now on the successor speaks for this instance, as it does at `/metrics`.
    void this.metricsExport.close();
    this.deps.sockets?.keepPaths();
    this.consul?.handOver();
    this.inbound?.handOver();
    this.admin?.retire();
    this.observe?.retire();
  }

  setTakeover(takeOver: () => Promise<TakeoverAnswer>): void {
    this.startTakeover = takeOver;
  }

  takeOver(): Promise<TakeoverAnswer> {
    return this.startTakeover();
  }

  // ---- end ----

  get isDraining(): boolean {
    return this.draining !== undefined;
  }

  get isLeaving(): boolean {
    return this.isHandedOver || this.isDraining;
  }

  drain(): Promise<void> {
    this.draining ??= this.drainNow();
    return this.draining;
  }

  private async drainNow(): Promise<void> {
    const { drainTimeoutMs } = this.current;
    this.inbound?.stopLoading();
    if (!this.isHandedOver) await this.consul?.leave();
    const listeners = [...this.outbound.listeners, ...(this.inbound?.listeners ?? [])];
    this.deps.logger.info({ timeoutMs: drainTimeoutMs }, 'draining');
    this.audit.trail.record(AuditKind.draining, { timeoutMs: drainTimeoutMs });
    this.scaler?.drain();
    const drained = Promise.all(listeners.map((listener) => listener.drain()));
    const { timers, clock } = this.deps;
    await new CallDrain(listeners, { service: this.view.service, drainTimeoutMs, timers, clock }).end(
      drained,
    );
    await this.accessLog.flush();
    if (!this.isHandedOver) await this.consul?.deregister();
  }

  async stop(): Promise<void> {
    if (this.isStopped) return;
    this.isStopped = true;
    // Before the parts are gone that the metrics are read of.
    const lastMetrics = this.metricsExport.close();
    this.faultController.stop();
    this.processFaults.stop();
    this.scaler?.stop();
    this.outbound.stop();
    this.inbound?.stop();
    // After all that decides, and before the key is gone. A successor has waited for the file.
    await this.audit.close();
    this.identity?.close();
    this.consul?.close();
    this.loopMonitor.stop();
    await Promise.all([this.admin?.close(), this.observe?.close()]);
    await Promise.all([this.traces.close(), lastMetrics]);
    await this.accessLog.close();
  }
}
