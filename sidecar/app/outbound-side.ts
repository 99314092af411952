import type { Dial } from '../cluster/cluster.js';
import type { Peer } from '../cluster/endpoint.js';
import { makeCluster } from '../cluster/membership.js';
import { writeAddress } from '../config/codecs/address.js';
import type { Address, OutboundConfig, UpstreamConfig } from '../config/model.js';
import { PoisonTable } from '../core/retry/poison-table.js';
import { UpstreamFailures } from '../core/retry/upstream-failures.js';
import { targetUpstreams } from '../core/routing/target-upstreams.js';
import { DnsDiscovery } from '../discovery/dns/dns.js';
import { dnsQueries } from '../discovery/dns/query.js';
import { ResolverFiles } from '../discovery/dns/resolver-files.js';
import { ApiClient } from '../discovery/kubernetes/api-client.js';
import { ApiFiles } from '../discovery/kubernetes/api-settings.js';
import { KubernetesDiscovery } from '../discovery/kubernetes/kubernetes.js';
import type { Discovery, DiscoverySubscription, Uncounted } from '../discovery/snapshot.js';
import { HealthChecker } from '../health/endpoints/checker.js';
import { headerViewOf, metadataValue } from '../http2/header-view.js';
import type { UpstreamState } from '../outbound/upstream-state.js';
import { Outbound } from '../outbound.js';
import type { ActiveFaults } from '../relay/fault-injection.js';
import { UnroutedStream } from '../relay/unrouted-stream.js';
import { messageOf } from '../runtime/log/message-of.js';
import type { Unreached } from '../runtime/process/inherited-sockets.js';
import { SOCKET_NAMES } from '../runtime/process/listen-sockets.js';
import type { Listener } from '../transport/listener.js';
import type { Session } from '../transport/session.js';
import { type AppContext, openListener } from './context.js';
import { wake } from './wake.js';

/** What the outbound side needs of the rest of the sidecar. */
export interface OutboundDeps {
  /** Our own service. */
  readonly service: string;
  readonly dial: Dial;
  /** Why `dial` returned undefined, for people. */
  whyNoDial(): string;
  /** Whether `peer` would be accepted with the roots of now. */
  stillTrusts(session: Session, peer: Peer): boolean;
  /** Of upstreams with `consul`; undefined: there are none. */
  readonly discovery: Discovery | undefined;
  /** Endpoints are asked for their load, for what scales their services. */
  readonly isScaler: boolean;
}

/** Where the endpoints of an upstream come from, and what follows them there. */
interface Followed {
  readonly source: Discovery;
  readonly subscription: DiscoverySubscription;
}

/** An upstream that a reload adds. */
interface Added {
  readonly config: UpstreamConfig;
  /** Removed upstreams that listen at its address, whose listeners have to be closed first. */
  readonly replaces: readonly UpstreamConfig[];
}

/**
 * The side towards upstreams: one listener for each upstream, optionally a shared one that routes
 * by authority or metadata, the upstreams behind them, their health checks and their discovery.
 */
export class OutboundSide {
  /** Bound address of each upstream's listener, by name. */
  readonly addresses: Record<string, Address> = {};
  sharedAddress: Address | undefined;
  readonly health: HealthChecker;
  /** Fingerprints of requests that were in crashes of models, shared by all upstreams. */
  readonly poison = new PoisonTable();
  /** Failures of all upstreams that the application got; for the inbound side, where the application is a model. */
  readonly failures = new UpstreamFailures();
  private readonly byName = new Map<string, Outbound>();
  private readonly listenerOf = new Map<string, Listener>();
  /** Where each listener was opened, as the file said it then: another address in the file takes effect at a restart. */
  private readonly openedAt = new Map<string, Address>();
  /** Removed upstreams whose listeners still have calls. */
  private readonly leaving = new Map<Outbound, Listener>();
  /** Upstreams whose endpoints are found by a DNS name. */
  readonly dns: DnsDiscovery;
  /** Upstreams whose endpoints are found by a Service of Kubernetes. */
  readonly kubernetes: KubernetesDiscovery;
  private readonly followed = new Map<string, Followed>();
  private shared: Listener | undefined;
  private faults: ActiveFaults | null = null;
  /** Nothing was against readiness at some time: an upstream that is added later is not waited for. */
  private hasBeenReady = false;
  /** Upstreams that count as reached in a successor. */
  private readonly assumed = new Set<string>();
  private readonly unrouted: UnroutedStream;

  constructor(
    private config: OutboundConfig,
    private readonly deps: OutboundDeps,
    private readonly context: AppContext,
  ) {
    this.unrouted = new UnroutedStream(context.dataPlane);
    const { timers } = context.deps;
    this.health = new HealthChecker({ context: context.dataPlane, timers, asksForLoad: deps.isScaler });
    const isAnswering = (address: Address): boolean => this.isAnswering(address);
    const query = dnsQueries(new ResolverFiles(context.deps.env, undefined, context.deps.host), context.deps);
    this.dns = new DnsDiscovery({ query, ...context.deps, isAnswering });
    const api = new ApiClient(new ApiFiles(context.deps.env), context.deps.network);
    this.kubernetes = new KubernetesDiscovery({ api, ...context.deps, isAnswering });
  }

  async start(): Promise<void> {
    for (const upstream of this.config.upstreams) await this.add(upstream);
    if (this.config.shared === undefined) return;
    this.shared = openListener(this.context, SOCKET_NAMES.shared, {
      address: this.config.shared.listen,
      onStream: (session, stream, block, ended) => this.route(session, stream, block, ended),
    });
    this.sharedAddress = await this.shared.listen();
  }

  get upstreams(): readonly UpstreamState[] {
    return [...this.byName.values()].map(({ state }) => state);
  }

  /** What the endpoints of an upstream do not say of its replicas; undefined: they say it all. */
  uncounted(upstream: string): Uncounted | undefined {
    return this.followed.get(upstream)?.subscription.uncounted?.();
  }

  /** Those of the file, and removed ones that still have calls. */
  private get withCalls(): readonly Outbound[] {
    return [...this.byName.values(), ...this.leaving.keys()];
  }

  /** Those of removed upstreams as well, as long as they have calls. */
  get listeners(): readonly Listener[] {
    const shared = this.shared === undefined ? [] : [this.shared];
    return [...this.listenerOf.values(), ...this.leaving.values(), ...shared];
  }

  /**
   * After a rotation: connections are replaced, so that they present the new certificate. Where roots have changed, those to a peer that
   * is not trusted any more are closed first; their replacements would never come.
   */
  refreshConnections({ rootsChanged }: { readonly rootsChanged: boolean }): void {
    if (rootsChanged) for (const pool of [...this.context.dataPlane.connected]) pool.review();
    for (const outbound of this.withCalls) outbound.state.refreshConnections();
  }

  /** After our certificate has expired: connections made with it are ended. */
  expireConnections(): void {
    for (const outbound of this.withCalls) outbound.state.expireConnections();
  }

  /** Sets the faults to inject; null: none. */
  setFaults(faults: ActiveFaults | null): void {
    this.faults = faults;
    for (const outbound of this.byName.values()) outbound.state.setFaults(faults);
  }

  /** Whether any upstream has a usable connection to this address. */
  isAnswering(address: Address): boolean {
    for (const outbound of this.byName.values())
      if (outbound.state.upstream.isAnswering(address)) return true;
    return false;
  }

  /**
   * Reasons against readiness, until there were none once: an upstream has to have had a connection. Those that are targets of others do not
   * count, except in a successor: it does not wait for one that its predecessor does not reach either, as that one goes on without it while
   * it waits.
   */
  notReady(): string[] {
    if (this.hasBeenReady) return [];
    const { isSuccessor } = this;
    const others = isSuccessor ? this.notOfPredecessor : targetUpstreams(this.config.upstreams);
    const reasons = this.unreachedExcept(new Set([...this.assumed, ...others]));
    if (!isSuccessor && reasons.length === 0) this.hasBeenReady = true;
    return reasons;
  }

  /** Upstreams that were never reached, and why, one sentence each, whether or not they count against readiness. */
  unreachedReasons(): string[] {
    return this.unreachedExcept(new Set());
  }

  /** The same without those that get calls of other upstreams, and those that start for calls. */
  neededReasons(): string[] {
    const { upstreams } = this.config;
    const cold = upstreams.filter(({ coldStart }) => coldStart !== undefined);
    return this.unreachedExcept(new Set([...targetUpstreams(upstreams), ...cold.map(({ name }) => name)]));
  }

  private unreachedExcept(left: ReadonlySet<string>): string[] {
    const reasons: string[] = [];
    for (const [name, outbound] of this.byName) {
      const why = outbound.state.upstream.notReady();
      if (why === undefined || left.has(name)) continue;
      const dns = this.dns.problemOf(name);
      const kubernetes = this.kubernetes.problemOf(name);
      const said = dns === undefined ? kubernetes && ` (Kubernetes: ${kubernetes})` : ` (DNS: ${dns})`;
      reasons.push(`upstream ${name}: ${why}${said ?? ''}`);
    }
    return reasons;
  }

  /** Until this process accepts, its predecessor does. */
  get isSuccessor(): boolean {
    return this.context.deps.sockets?.isSuccessor === true;
  }

  /** What the predecessor does not reach, or does not have. */
  private get notOfPredecessor(): readonly string[] {
    const { never, reached } = this.context.deps.sockets!.unreached;
    const isNew = (name: string): boolean => reached !== undefined && !reached.includes(name);
    return [...this.byName.keys()].filter((name) => never.includes(name) || isNew(name));
  }

  /**
   * Whether an upstream counts as reached: the predecessor had reached it before; or it was ready, and does not have it. One that is added
   * once this process accepts is another one.
   */
  private isAssumed(name: string): boolean {
    if (!this.isSuccessor) return false;
    const { lost, never, reached } = this.context.deps.sockets!.unreached;
    return lost.includes(name) || (never.length === 0 && reached !== undefined && !reached.includes(name));
  }

  /** Which upstreams have a connection, for a successor. Once this process has been ready, it waits for none of the others there either. */
  get unreached(): Unreached {
    // As in `prepare`: beside a model nobody asks.
    this.notReady();
    const lost: string[] = [];
    const never: string[] = [];
    const reached: string[] = [];
    for (const [name, { state }] of this.byName) {
      const wasReached =
        this.hasBeenReady || this.assumed.has(name) || state.upstream.notReady() === undefined;
      (state.upstream.isReached ? reached : wasReached ? lost : never).push(name);
    }
    return { lost, never, reached };
  }

  // ---- change ----

  /**
   * First step of a reload: opens the listeners of added upstreams, all or none. Existing upstreams
   * are not touched, except one whose listen address an added upstream takes over; those are
   * replaced last, and begun anew where one cannot be added.
   */
  async prepare(next: OutboundConfig | undefined): Promise<void> {
    // Whether it has been ready up to now: nobody may have asked.
    this.notReady();
    const upstreams = next?.upstreams ?? [];
    const wanted = new Set(upstreams.map(({ name }) => name));
    const added = upstreams
      .filter(({ name }) => !this.byName.has(name))
      .map((config) => ({ config, inItsWay: this.listeningAt(config.listen) }));
    for (const { config, inItsWay } of added) {
      const kept = inItsWay.find(({ name }) => wanted.has(name));
      if (kept !== undefined) throw new Error(heldProblem(config, kept));
    }
    const all = added.map(({ config, inItsWay }): Added => ({ config, replaces: inItsWay }));
    await this.addAll(all.sort((a, b) => a.replaces.length - b.replaces.length));
  }

  /** Upstreams whose listeners are open at this address, with the address that is bound: the file may name another one by now. */
  private listeningAt(listen: Address | undefined): UpstreamConfig[] {
    if (listen === undefined) return [];
    return this.config.upstreams.flatMap((upstream) => {
      const bound = this.addresses[upstream.name];
      const opened = this.openedAt.get(upstream.name);
      if (bound === undefined || opened === undefined) return [];
      return isSameAddress(listen, bound) || isSameAddress(listen, opened)
        ? [{ ...upstream, listen: bound }]
        : [];
    });
  }

  /**
   * Second step of a reload, which cannot fail: updates upstreams that stay and removes the others.
   */
  apply(next: OutboundConfig | undefined): void {
    const wanted = new Map((next?.upstreams ?? []).map((upstream) => [upstream.name, upstream]));
    this.config = { ...this.config, upstreams: next?.upstreams ?? [] };
    for (const [name, outbound] of this.byName) {
      const config = wanted.get(name);
      if (config === undefined) this.remove(name);
      else {
        this.health.configure(config);
        outbound.state.update(config);
        this.discover(config, outbound);
      }
    }
  }

  private async addAll(added: readonly Added[]): Promise<void> {
    const done: UpstreamConfig[] = [];
    const replaced: UpstreamConfig[] = [];
    try {
      for (const { config, replaces } of added) {
        for (const each of replaces) {
          this.remove(each.name);
          replaced.push(each);
        }
        await this.add(config);
        done.push(config);
      }
    } catch (error) {
      for (const { name } of done) this.remove(name);
      for (const before of replaced)
        await this.add(before).catch((again: unknown) => this.notRestored(before, again));
      throw error;
    }
  }

  private notRestored({ name }: UpstreamConfig, error: unknown): void {
    const { logger } = this.context.deps;
    logger.error(
      { upstream: name, problem: messageOf(error) },
      'an upstream is gone after a reload that failed',
    );
  }

  private async add(config: UpstreamConfig): Promise<void> {
    const { dataPlane, settings, limits } = this.context;
    const { dial } = this.deps;
    const whyNot = (): string => this.deps.whyNoDial();
    const stillTrusts = (session: Session, peer: Peer): boolean => this.deps.stillTrusts(session, peer);
    this.health.configure(config);
    const outbound = new Outbound(config, {
      makeCluster: (each, name) => {
        const cluster = makeCluster(each, { context: dataPlane, settings, dial, whyNot, stillTrusts }, name);
        this.health.addCluster(cluster);
        return cluster;
      },
      context: dataPlane,
      caller: this.deps.service,
      replayBytes: limits.replayBytesPerCall,
      find: (name) => this.byName.get(name),
      poison: this.poison,
      failures: this.failures,
      wake: (target, facts) => wake(target, facts, this.context.deps.env),
    });
    if (config.listen !== undefined) {
      const listener = openListener(this.context, SOCKET_NAMES.upstream(config.name), {
        address: config.listen,
        onStream: (session, stream, block, ended) => outbound.accept(session, stream, block, ended),
      });
      try {
        this.addresses[config.name] = await listener.listen();
      } catch (error) {
        this.health.removeUpstream(config.name);
        outbound.state.stop();
        throw error;
      }
      this.listenerOf.set(config.name, listener);
      this.openedAt.set(config.name, config.listen);
    }
    outbound.state.setFaults(this.faults);
    if (this.isAssumed(config.name)) this.assumed.add(config.name);
    this.byName.set(config.name, outbound);
    this.discover(config, outbound);
  }

  /** Starts, changes or ends the discovery of an upstream, as its configuration asks. */
  private discover(config: UpstreamConfig, outbound: Outbound): void {
    const { name } = config;
    const before = this.followed.get(name);
    const source = this.sourceOf(config);
    if (before !== undefined && before.source === source) return before.subscription.update(config);
    before?.subscription.close();
    this.followed.delete(name);
    if (source === undefined) return;
    const subscription = source.watchUpstream(config, (snapshot) => outbound.state.apply(snapshot));
    this.followed.set(name, { source, subscription });
    outbound.state.upstream.onStaleDiscovery((cluster, why) => subscription.doubt(cluster, why));
    outbound.state.upstream.onDisconnected(() => subscription.hurry?.());
  }

  /** Undefined: the file lists the endpoints. */
  private sourceOf({ dns, kubernetes, consul }: UpstreamConfig): Discovery | undefined {
    if (dns !== undefined) return this.dns;
    if (kubernetes !== undefined) return this.kubernetes;
    return consul === undefined ? undefined : this.deps.discovery;
  }

  private remove(name: string): void {
    const outbound = this.byName.get(name);
    if (outbound === undefined) return;
    this.byName.delete(name);
    this.assumed.delete(name);
    this.health.removeUpstream(name);
    this.followed.get(name)?.subscription.close();
    this.followed.delete(name);
    const listener = this.listenerOf.get(name);
    this.listenerOf.delete(name);
    this.openedAt.delete(name);
    delete this.addresses[name];
    // Calls in flight finish, also those from the shared listener.
    if (listener === undefined) return outbound.state.retire();
    this.leaving.set(outbound, listener);
    void listener.drain().then(() => {
      this.leaving.delete(outbound);
      outbound.state.retire();
    });
  }

  /** Passes a call of the shared listener to the upstream that its authority or metadata names. */
  private route(...[session, stream, block, ended]: Parameters<Outbound['accept']>): void {
    const shared = this.config.shared!;
    const name =
      shared.by === 'authority'
        ? hostOf(headerViewOf(block).authority)
        : (metadataValue(block, shared.metadataKey) ?? '');
    const outbound = this.byName.get(name) ?? this.byName.get(name.split('.', 1)[0]!);
    if (outbound !== undefined) outbound.accept(session, stream, block, ended);
    else this.unrouted.accept(session, stream, block, ended, name);
  }

  stop(): void {
    this.health.stop();
    for (const { subscription } of this.followed.values()) subscription.close();
    for (const listener of this.listeners) listener.stop();
    for (const outbound of this.withCalls) outbound.state.stop();
  }
}

/** The system gives a port of its own for each port 0. */
function isSameAddress(a: Address, b: Address): boolean {
  const isGiven = a.kind === 'tcp' && a.port === 0;
  return !isGiven && writeAddress(a) === writeAddress(b);
}

function heldProblem({ name, listen }: UpstreamConfig, kept: UpstreamConfig): string {
  return `outbound.upstreams.${name}.listen: found ${writeAddress(listen!)}, where upstream ${kept.name} listens until a restart; expected another address, or a restart`;
}

/** The host of an authority `NAME:PORT`; `route` also tries the part of it before the first dot. */
function hostOf(authority: string): string {
  return authority.split(':')[0]!;
}
