/**
 * Builds every part from the configuration, in start order, and stops them in the reverse one.
 *
 *   identity → upstreams (connections) → inbound (local model) → listeners → admin
 */

import type net from 'node:net';
import tls from 'node:tls';
import { type AdminServer, startAdmin } from './admin/server.js';
import type { ModelReport, SidecarView } from './admin/view.js';
import type { Address, InboundConfig, SidecarConfig, UpstreamConfig } from './config/model.js';
import { IntentionTable } from './core/intentions.js';
import { factsOf } from './http2/facts.js';
import { DEFAULT_LOCAL_SETTINGS, type LocalSettings } from './http2/settings.js';
import { openIdentityFiles } from './identity/files.js';
import { verifyPeerSocket } from './identity/peer.js';
import type { IdentitySource } from './identity/source.js';
import { handshakeFault, serverTlsOptions } from './identity/tls.js';
import { TlsRotation } from './identity/tls-rotation.js';
import { Caller, Inbound, type ModelEvidence } from './inbound.js';
import { familiesOf } from './mesh/families.js';
import { queueReport, reportOf } from './mesh/report.js';
import { Upstream } from './mesh/upstream.js';
import { Outbound } from './outbound.js';
import { dialPlain, dialTls } from './relay/dial.js';
import { metadataValue } from './relay/forward.js';
import type { Link } from './relay/link.js';
import { Listener, type ListenerTls } from './relay/listener.js';
import { NoUpstream } from './relay/no-upstream.js';
import { Pool } from './relay/pool.js';
import { Memory, type Relay } from './relay/relay.js';
import { Tally } from './relay/tally.js';
import { Turn } from './relay/turn.js';
import type { Clock } from './runtime/clock.js';
import { deferToTurnEnd } from './runtime/defer.js';
import type { Logger } from './runtime/logger.js';
import { LoopWatch } from './runtime/loop-watch.js';
import type { Random } from './runtime/random.js';
import type { Timers } from './runtime/timers.js';
import { TimingWheel } from './runtime/timing-wheel.js';

export interface Deps {
  readonly clock: Clock;
  readonly random: Random;
  readonly timers: Timers;
  readonly logger: Logger;
  readonly version: string;
}

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

export interface Sidecar extends SidecarView {
  readonly addresses: Addresses;
  reload(config: SidecarConfig): Promise<ReloadResult>;
  /** A changed configuration was refused; counted only. */
  reloadRejected(): void;
  /** The supervised model came, went or is on its way. */
  setModelState(ready: boolean, why: string): void;
  setModelReport(report: () => ModelReport): void;
  evidence(): ModelEvidence;
  stop(): Promise<void>;
}

/** Starts everything; rejects, with nothing left running, when an address is taken or a file is unusable. */
export async function startSidecar(config: SidecarConfig, deps: Deps): Promise<Sidecar> {
  const app = new App(config, deps);
  try {
    await app.start();
  } catch (error) {
    await app.stop();
    throw error;
  }
  return app;
}

class App implements Sidecar {
  readonly service: string;
  readonly instance: string;
  readonly version: string;
  addresses: { inbound?: Address; upstreams: Record<string, Address>; shared?: Address; admin?: Address } = {
    upstreams: {},
  };

  private readonly relay: Relay;
  private readonly settings: LocalSettings;
  private readonly loopWatch: LoopWatch;
  private identity: IdentitySource | undefined;
  private rotation: TlsRotation | undefined;
  private readonly outbounds = new Map<string, Outbound>();
  private readonly listeners = new Map<string, Listener>();
  private shared: Listener | undefined;
  private readonly noUpstream: NoUpstream;
  private inbound: Inbound | undefined;
  private inboundListener: Listener | undefined;
  private admin: AdminServer | undefined;
  private intentionsVersion = 0;
  private modelReport: (() => ModelReport) | undefined;
  private readonly connectedOnce = new Set<string>();
  private rejected = 0;
  private draining: Promise<void> | undefined;
  private isStopped = false;

  constructor(
    private current: SidecarConfig,
    private readonly deps: Deps,
  ) {
    this.service = current.service;
    this.instance = current.instance;
    this.version = deps.version;
    const { clock, random, timers, logger } = deps;
    this.loopWatch = new LoopWatch(clock, timers, {
      isBusy: () => this.relay.tally.calls.some((kind) => kind.inFlight > 0),
    });
    this.relay = {
      clock,
      random,
      logger,
      wheel: new TimingWheel(clock, timers),
      turn: new Turn((flush) => {
        this.loopWatch.wake(); // there is something to send, so there is work
        deferToTurnEnd(flush);
      }),
      tally: new Tally(),
      memory: new Memory(current.limits.memoryBudgetBytes),
      nowMs: clock.now(),
      hasStalled: () => this.loopWatch.hasStalled(STALL_MEMORY_MS),
    };
    this.settings = {
      ...DEFAULT_LOCAL_SETTINGS,
      maxConcurrentStreams: current.limits.maxConcurrentStreams,
      maxHeaderBytes: current.limits.maxHeaderBytes,
      maxHeaderFields: current.limits.maxHeaderFields,
    };
    this.noUpstream = new NoUpstream(this.relay);
  }

  // ---- start ----

  async start(): Promise<void> {
    this.openIdentity();
    const { outbound, inbound, admin } = this.current;
    for (const upstream of outbound?.upstreams ?? []) await this.addUpstream(upstream);
    if (outbound?.shared) {
      this.shared = this.listener(outbound.shared.listen, undefined, (link, stream, block, ended) =>
        this.route(link, stream, block, ended),
      );
      this.addresses.shared = await this.shared.listen();
    }
    if (inbound) await this.startInbound(inbound);
    if (admin) {
      this.admin = await startAdmin(admin, this);
      this.addresses.admin = this.admin.address;
    }
  }

  private openIdentity(): void {
    const { identity, trustDomain, service } = this.current;
    if (identity.kind !== 'files') return;
    const { clock, timers, logger } = this.deps;
    this.identity = openIdentityFiles({
      paths: identity,
      trustDomain,
      service,
      clock,
      timers,
      onProblem: (problem) =>
        logger.error({ problem }, 'identity files are not usable; the last good identity stays'),
    });
    this.rotation = new TlsRotation(this.identity, () => clock.wallNow());
    this.rotation.subscribe(({ rootsChanged, identity: fresh }) => {
      logger.info({ serial: fresh.serial, rootsChanged }, 'identity rotated');
      for (const { upstream } of this.outbounds.values()) upstream.refreshConnections();
      if (rootsChanged) this.inboundListener?.review((link) => this.isStillTrusted(link));
    });
  }

  private isStillTrusted(link: Link): boolean {
    const trust = this.rotation?.trust;
    if (trust === undefined || !(link.socket instanceof tls.TLSSocket)) return true;
    return verifyPeerSocket(link.socket, trust, this.deps.clock.wallNow()).kind === 'accepted';
  }

  private async addUpstream(config: UpstreamConfig): Promise<void> {
    const upstream = new Upstream(config, this.relay, this.settings, (address, service, mode) =>
      mode === 'mesh' ? this.dialMesh(address, service) : dialPlain(address),
    );
    const outbound = new Outbound(config, upstream, this.relay, this.current.limits.replayBytesPerCall);
    if (config.listen !== undefined) {
      const listener = this.listener(config.listen, undefined, (link, stream, block, ended) =>
        outbound.accept(link, stream, block, ended),
      );
      try {
        this.addresses.upstreams[config.name] = await listener.listen();
      } catch (error) {
        upstream.stop();
        throw error;
      }
      this.listeners.set(config.name, listener);
    }
    this.outbounds.set(config.name, outbound);
  }

  private dialMesh(address: Address, service: string): net.Socket | undefined {
    const options = this.rotation?.clientOptions(service);
    if (options === undefined) return undefined;
    const socket = dialTls(address, options);
    socket.once('error', (error) => {
      const reason = handshakeFault(error, socket);
      if (reason === undefined) return;
      this.relay.tally.handshakeFailed(reason);
      this.deps.logger.warn({ service, reason, detail: error.message }, 'endpoint refused');
    });
    return socket;
  }

  private listener(
    address: Address,
    secure: ListenerTls | undefined,
    onStream: Listener['onStream'],
  ): Listener {
    const options = { address, settings: this.settings, limits: this.current.limits, onStream };
    return new Listener(secure === undefined ? options : { ...options, tls: secure }, this.relay);
  }

  /** The shared listener: which upstream a call names. */
  private route(...[link, stream, block, ended]: Parameters<Listener['onStream']>): void {
    const shared = this.current.outbound!.shared!;
    const name =
      shared.by === 'authority'
        ? hostOf(factsOf(block).authority)
        : (metadataValue(block, shared.metadataKey) ?? '');
    const outbound = this.outbounds.get(name) ?? this.outbounds.get(name.split('.', 1)[0]!);
    if (outbound !== undefined) outbound.accept(link, stream, block, ended);
    else this.noUpstream.accept(link, stream, block, ended, name);
  }

  private async startInbound(config: InboundConfig): Promise<void> {
    const pool = new Pool(
      {
        config: { connections: 1, connectTimeoutMs: 5000, pingIntervalMs: 0, pingTimeoutMs: 0, maxAgeMs: 0 },
        settings: this.settings,
        dial: () => dialPlain(config.local),
        onChange: () => this.onLocalConnection(),
      },
      this.relay,
    );
    this.inbound = new Inbound(
      config,
      this.service,
      pool,
      this.intentions(config),
      this.relay,
      this.current.limits.replayBytesPerCall,
    );
    pool.start();
    const inbound = this.inbound;
    this.inboundListener = this.listener(
      config.listen,
      this.inboundTls(config),
      (link, stream, block, ended) => inbound.accept(link, stream, block, ended),
    );
    this.addresses.inbound = await this.inboundListener.listen();
  }

  private inboundTls(config: InboundConfig): ListenerTls | undefined {
    const rotation = this.rotation;
    if (config.mtls === 'off' || rotation?.identity === undefined) return undefined;
    return {
      options: serverTlsOptions(rotation.identity),
      attach: (server) => rotation.attach(server),
      admit: (socket) => {
        const verdict = verifyPeerSocket(socket, rotation.trust!, this.deps.clock.wallNow());
        return verdict.kind === 'accepted'
          ? { identity: new Caller(verdict.id.service) }
          : { refused: verdict.reason };
      },
      fault: (error, socket) => handshakeFault(error, socket) ?? handshakeErrorName(error),
      alsoPlaintext: config.mtls === 'permissive',
    };
  }

  /** A model nobody supervises is ready when it can be reached. */
  private onLocalConnection(): void {
    if (this.modelReport !== undefined || this.inbound === undefined) return;
    const { pool, modelState } = this.inbound;
    if (pool.isConnected) this.inbound.setModel({ kind: 'ready' });
    else if (modelState.kind === 'ready' && !pool.isConnecting)
      this.inbound.setModel({ kind: 'away', why: pool.problem });
  }

  private intentions(config: InboundConfig): IntentionTable {
    this.intentionsVersion++;
    return new IntentionTable(config.intentions, config.defaultIntention, this.intentionsVersion);
  }

  // ---- change ----

  async reload(next: SidecarConfig): Promise<ReloadResult> {
    const before = this.current;
    const needsRestart = restartPaths(before, next);
    const wanted = new Map((next.outbound?.upstreams ?? []).map((upstream) => [upstream.name, upstream]));
    const added = [...wanted.values()].filter(({ name }) => !this.outbounds.has(name));
    // One that only changes its name takes its address along.
    const claimed = new Set(added.map(({ listen }) => JSON.stringify(listen)));
    for (const { name, listen } of before.outbound?.upstreams ?? []) {
      const outbound = this.outbounds.get(name);
      if (outbound === undefined || wanted.has(name) || listen === undefined) continue;
      if (claimed.has(JSON.stringify(listen))) this.removeUpstream(name, outbound);
    }
    await this.addUpstreams(added);
    this.current = { ...next, ...(before.admin ? { admin: before.admin } : {}), limits: before.limits };
    if (next.inbound && this.inbound) {
      const links = this.inboundListener?.links ?? [];
      this.inbound.update(next.inbound, this.intentions(next.inbound), links);
    }
    for (const [name, outbound] of this.outbounds) {
      const config = wanted.get(name);
      if (config !== undefined) outbound.update(config);
      else this.removeUpstream(name, outbound);
    }
    return { needsRestart };
  }

  /** All or none: what can fail comes before everything else. */
  private async addUpstreams(added: readonly UpstreamConfig[]): Promise<void> {
    const done: UpstreamConfig[] = [];
    try {
      for (const config of added) {
        await this.addUpstream(config);
        done.push(config);
      }
    } catch (error) {
      for (const { name } of done) this.removeUpstream(name, this.outbounds.get(name)!);
      throw error;
    }
  }

  private removeUpstream(name: string, outbound: Outbound): void {
    this.outbounds.delete(name);
    const listener = this.listeners.get(name);
    this.listeners.delete(name);
    delete this.addresses.upstreams[name];
    // Calls under way end in peace, those that came by the shared listener too.
    void (listener?.drain() ?? Promise.resolve()).then(() => outbound.upstream.retire());
  }

  reloadRejected(): void {
    this.rejected++;
  }

  setModelState(ready: boolean, why: string): void {
    if (this.inbound === undefined) return;
    if (ready) this.inbound.setModel({ kind: 'ready' });
    else if (this.inbound.modelState.kind !== 'starting') this.inbound.setModel({ kind: 'away', why });
  }

  setModelReport(report: () => ModelReport): void {
    this.modelReport = report;
  }

  evidence(): ModelEvidence {
    return (
      this.inbound?.evidence() ?? {
        inFlight: 0,
        started: 0,
        completed: 0,
        lastCompletionMs: 0,
        oldestStartMs: 0,
        usualMs: 0,
      }
    );
  }

  // ---- stop ----

  drain(): Promise<void> {
    this.draining ??= this.drainNow();
    return this.draining;
  }

  private async drainNow(): Promise<void> {
    const all = [...this.listeners.values(), this.shared, this.inboundListener].filter(
      (each) => each !== undefined,
    );
    this.deps.logger.info({ timeoutMs: this.current.drainTimeoutMs }, 'draining');
    let cancel = (): void => {};
    const limit = new Promise<void>((resolve) => {
      const timer = this.deps.timers.after(this.current.drainTimeoutMs, resolve);
      cancel = () => timer.cancel();
    });
    await Promise.race([Promise.all(all.map((listener) => listener.drain())), limit]);
    cancel();
  }

  async stop(): Promise<void> {
    if (this.isStopped) return;
    this.isStopped = true;
    for (const listener of this.listeners.values()) listener.stop();
    this.shared?.stop();
    this.inboundListener?.stop();
    for (const { upstream } of this.outbounds.values()) upstream.stop();
    this.inbound?.pool.stop();
    this.rotation?.close();
    this.identity?.close();
    this.loopWatch.rest();
    await this.admin?.close();
  }

  // ---- SidecarView ----

  notReady(): readonly string[] {
    const reasons: string[] = [];
    if (this.draining) reasons.push('draining');
    const problem = this.identity?.status().problem;
    if (problem !== undefined) reasons.push(`identity: ${problem}`);
    if (this.inbound && this.inbound.modelState.kind !== 'ready') {
      const { modelState } = this.inbound;
      reasons.push(`model: ${modelState.kind === 'away' ? modelState.why : 'starting'}`);
    }
    for (const [name, { upstream }] of this.outbounds) {
      if (this.connectedOnce.has(name)) continue;
      if (upstream.endpoints.some((endpoint) => endpoint.pool.isConnected)) this.connectedOnce.add(name);
      else reasons.push(`upstream ${name}: no endpoint is connected yet`);
    }
    return reasons;
  }

  endpoints(): ReturnType<SidecarView['endpoints']> {
    const now = this.deps.clock.now();
    return [...this.outbounds.values()].flatMap(({ upstream }) =>
      upstream.endpoints.map((endpoint) => reportOf(upstream, endpoint, now)),
    );
  }

  queue(): ReturnType<SidecarView['queue']> {
    return this.inbound && queueReport(this.inbound.queue);
  }

  model(): ModelReport | undefined {
    if (this.inbound === undefined) return undefined;
    if (this.modelReport !== undefined) return this.modelReport();
    return { state: 'foreign', why: this.inbound.pool.problem, restarts: 0 };
  }

  families(): ReturnType<SidecarView['families']> {
    const notAfterMs = this.identity?.status().notAfterMs;
    return familiesOf({
      tally: this.relay.tally,
      memory: this.relay.memory,
      outbounds: [...this.outbounds.values()],
      inbound: this.inbound,
      reloadsRejected: this.rejected,
      rotations: this.rotation?.rotations ?? 0,
      leafSecondsLeft: notAfterMs === undefined ? undefined : (notAfterMs - this.deps.clock.wallNow()) / 1000,
    });
  }

  config(): unknown {
    return this.current;
  }
}

/** `name`, `name:port` or `name.anything`: the upstream's name comes first. */
function hostOf(authority: string): string {
  return authority.split(':')[0]!;
}

function handshakeErrorName(error: Error & { code?: string }): string {
  return error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT' ? 'handshake-timeout' : 'tls-error';
}

/** Options that only a restart takes over. */
function restartPaths(before: SidecarConfig, next: SidecarConfig): string[] {
  const differs = (a: unknown, b: unknown): boolean => JSON.stringify(a) !== JSON.stringify(b);
  const paths: string[] = [];
  const check = (path: string, a: unknown, b: unknown): void => {
    if (differs(a, b)) paths.push(path);
  };
  check('service', before.service, next.service);
  check('instance', before.instance, next.instance);
  check('datacenter', before.datacenter, next.datacenter);
  check('log', before.log, next.log);
  check('trust_domain', before.trustDomain, next.trustDomain);
  check('identity', before.identity, next.identity);
  check('admin', before.admin, next.admin);
  check('limits', before.limits, next.limits);
  check('inbound.listen', before.inbound?.listen, next.inbound?.listen);
  check('inbound.local', before.inbound?.local, next.inbound?.local);
  check('inbound.mtls', before.inbound?.mtls, next.inbound?.mtls);
  check('outbound.shared', before.outbound?.shared, next.outbound?.shared);
  check('model', before.model, next.model);
  for (const upstream of next.outbound?.upstreams ?? []) {
    const old = before.outbound?.upstreams.find((each) => each.name === upstream.name);
    if (old) check(`outbound.upstreams.${upstream.name}.listen`, old.listen, upstream.listen);
  }
  return paths;
}
