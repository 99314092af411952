import { hostname } from 'node:os';
import type { Address, ConsulConfig, SidecarConfig, UpstreamConfig } from '../../config/model.js';
import { present } from '../../config/present.js';
import type { IntentionTable } from '../../core/authorization/intentions.js';
import type { IdentitySource } from '../../identity/identity.js';
import type { Logger } from '../../runtime/log/logger.js';
import type { ChainHead } from '../../telemetry/audit/chain.js';
import type { Metric } from '../../telemetry/metric.js';
import type { RegistryReport } from '../../telemetry/reports.js';
import type { Network } from '../../transport/network.js';
import type { Environment } from '../settings-files.js';
import type { Discovery, DiscoverySubscription, UpstreamSnapshot } from '../snapshot.js';
import { AuditHead } from './audit-head.js';
import { CacheFile } from './cache/cache-file.js';
import { EndpointWatcher } from './catalog/endpoint-watcher.js';
import { OwnPlace } from './catalog/own-place.js';
import { OwnEntries } from './chain/own-entries.js';
import { UpstreamWatcher } from './chain/upstream-watcher.js';
import { ConsulAgent } from './client/client.js';
import { agentSettings } from './client/settings.js';
import { ConnectIdentity } from './connect/identity.js';
import { ConnectIntentions } from './connect/intentions.js';
import { KvStore } from './kv-store.js';
import { metrics } from './metrics.js';
import { QueryRegistry } from './query/query-registry.js';
import type { ConsulDeps, QueryStatus } from './query/query-spec.js';
import { AdoptedRegistration } from './registration/adopted-registration.js';
import type { ProxyAdoption } from './registration/adoption.js';
import type { ServiceInstance } from './registration/instance.js';
import { Registration } from './registration/registration.js';

/** What the Consul side of a sidecar is made with. */
export interface ConsulOptions extends Omit<ConsulDeps, 'config' | 'cache'> {
  readonly env: Environment;
  /** Whether calls or connections to an address show that it is served. */
  isAnswering(address: Address): boolean;
  /** The registration of something else that this sidecar is the proxy of. Absent: it registers itself, if at all. */
  readonly adoption?: ProxyAdoption | undefined;
  /** Name of this machine; absent: as the system says. */
  readonly host?: string;
  /** Where connections to the agent without TLS come from; absent: the operating system. */
  readonly network?: Network;
}

/**
 * A sidecar's whole dealing with Consul: one agent, one set of queries, and on them endpoints and rules of the
 * upstreams, the sidecar's identity, the intentions for its service, and its own entry in the catalogue.
 */
export class Consul implements Discovery {
  /** Undefined where certificates come from elsewhere. */
  readonly identity: IdentitySource | undefined;
  private readonly agent: ConsulAgent;
  private readonly queries: QueryRegistry;
  private readonly endpoints: EndpointWatcher;
  private readonly ownPlace: OwnPlace;
  private readonly deps: ConsulDeps;
  private readonly upstreams = new Set<UpstreamWatcher>();
  /** Undefined where Consul's rules are not read. */
  private readonly ownEntries: OwnEntries | undefined;
  /** Unsupported rules that the log has named. */
  private readonly logged = new Set<string>();
  private intentions: ConnectIntentions | undefined;
  private registration: Registration | AdoptedRegistration | undefined;
  private readonly adoption: ProxyAdoption | undefined;
  /** Name of this machine: two of them may have the same instance name by mistake. */
  private readonly host: string;
  private readonly auditHead: AuditHead;

  /** @throws Error of one line for settings that cannot be used. Reads begin at once; Consul may be away. */
  constructor(
    private readonly config: SidecarConfig,
    consul: ConsulConfig,
    { env, isAnswering, adoption, host = hostname(), network, ...tools }: ConsulOptions,
  ) {
    this.host = host;
    this.adoption = adoption;
    const { logger, timers } = tools;
    this.agent = new ConsulAgent(agentSettings(consul, env), timers, network);
    const { service, instance } = config;
    this.auditHead = new AuditHead(this.agent, tools.clock, { service, instance, host });
    const cache = consul.cache && CacheFile.open(consul.cache.dir, logger, timers);
    this.deps = { ...tools, config: consul, ...present('cache', cache) };
    this.queries = new QueryRegistry(this.agent, this.deps);
    this.ownPlace = new OwnPlace(this.queries, this.deps);
    if (consul.rules)
      this.ownEntries = new OwnEntries(this.queries, { ...this.deps, service, logged: this.logged });
    this.identity = config.identity.kind === 'consul' ? this.connectIdentity(logger) : undefined;
    this.endpoints = new EndpointWatcher(this.queries, {
      ...this.deps,
      agent: this.agent,
      isAnswering,
      // Only our certificate says it where Consul gives it.
      datacenter: () =>
        this.identity === undefined ? config.datacenter : this.identity.current()?.id.datacenter,
    });
  }

  private connectIdentity(logger: Logger): ConnectIdentity {
    return new ConnectIdentity(this.queries, {
      ...this.deps,
      service: this.config.service,
      onProblem: (problem) => logger.error({ problem }, 'Consul gives no usable identity'),
    });
  }

  watchUpstream(
    config: UpstreamConfig,
    onSnapshot: (snapshot: UpstreamSnapshot) => void,
  ): DiscoverySubscription {
    const { service } = this.config;
    const deps = { ...this.deps, service, logged: this.logged, ownPlace: this.ownPlace };
    const watch = new UpstreamWatcher(config, this.queries, this.endpoints, deps, onSnapshot);
    this.upstreams.add(watch);
    return {
      update: (next) => watch.update(next),
      doubt: (cluster, why) => watch.doubt(cluster, why),
      uncounted: () => watch.uncounted((query) => this.problemOf(query)),
      close: () => {
        this.upstreams.delete(watch);
        watch.close();
      },
    };
  }

  /** Why the answer of a query cannot be read, or is not what Consul has. */
  private problemOf(query: string): string | undefined {
    const all = this.statuses(this.unreadable());
    return all.find(({ name, problem }) => name === query && problem !== undefined)?.problem;
  }

  /** Follows the intentions for this service; false where the file has them. */
  watchIntentions(onTable: (table: IntentionTable) => void): boolean {
    if (!this.deps.config.intentions) return false;
    const { service } = this.config;
    this.intentions = new ConnectIntentions(this.queries, this.agent, { ...this.deps, service }, onTable);
    return true;
  }

  /** Whether the configuration asks for an entry in the catalogue, of our own or adopted. */
  get keepsEntry(): boolean {
    return this.deps.config.registration !== undefined || this.adoption !== undefined;
  }

  /** Keeps an entry in the catalogue, where the configuration asks for one. */
  register(instance: ServiceInstance): void {
    const { agent, deps, adoption } = this;
    if (!this.keepsEntry) return;
    this.registration =
      adoption === undefined
        ? new Registration(agent, deps, instance)
        : new AdoptedRegistration(agent, deps, instance, adoption);
    this.registration.start();
  }

  /** The registered instance may have changed. */
  changed(): void {
    this.registration?.changed();
  }

  /** Sets both checks critical, and waits until peers have heard of it. */
  async leave(): Promise<void> {
    await this.registration?.leave();
  }

  /** A successor is in the catalogue under the same id: this process sends nothing more. */
  handOver(): void {
    this.registration?.close();
  }
  /** Takes this instance and its sidecar out of the catalogue. Never rejects. */
  async deregister(): Promise<void> {
    await this.registration?.deregister();
  }

  /** Keeps the end of this sidecar's audit log where the log itself is not. Rejects with the reason. */
  keepAuditHead(head: ChainHead): Promise<void> {
    return this.auditHead.write(head);
  }

  /** Where the replicas of a service agree on rollouts. */
  rolloutStore(service: string, instance: string): KvStore {
    return new KvStore(this.agent, this.deps.timers, { service, instance, host: this.host });
  }

  /** Why the sidecar is not ready, one sentence each; empty: it is. */
  notReady(): string[] {
    const moved = this.adoption?.notReady() ?? [];
    if (this.intentions === undefined || this.intentions.loaded()) return moved;
    return ['intentions: not loaded from Consul yet', ...moved];
  }

  /** What the admin server shows of Consul. */
  report(): RegistryReport {
    const registration = this.registration?.status();
    const unreadable = this.unreadable();
    return {
      where: this.agent.where,
      ...registration,
      queries: this.statuses(unreadable).map(({ name, state, ageMs, problem }) => ({
        name,
        state: unreadable.has(name) ? 'failing' : state,
        ...(Number.isFinite(ageMs) ? { ageMs: Math.round(ageMs) } : {}),
        ...present('problem', problem),
      })),
      unsupported: this.unsupported(),
    };
  }

  /** Why answers that look whole are not what Consul has, by the name of their query. */
  private unreadable(): ReadonlyMap<string, string> {
    return new Map([...this.endpoints.problems(), ...(this.intentions?.problems() ?? [])]);
  }

  private statuses(unreadable: ReadonlyMap<string, string>): QueryStatus[] {
    return this.queries.statuses().map((status) => {
      const problem = status.problem ?? unreadable.get(status.name);
      return problem === undefined ? status : { ...status, problem };
    });
  }

  private unsupported(): string[] {
    const ofUpstreams = [...this.upstreams].flatMap((watch) => watch.unsupported());
    const ofIntentions = this.intentions?.unsupported() ?? [];
    const ofSelf = [...(this.ownEntries?.unsupported() ?? []), ...(this.adoption?.unapplied() ?? [])];
    return [...new Set([...ofUpstreams, ...ofIntentions, ...ofSelf])];
  }

  /** The metrics of queries, targets and the registration. */
  metrics(): Metric[] {
    const extra = [...this.endpoints.metrics(), ...(this.registration?.metrics() ?? [])];
    return metrics(this.statuses(this.unreadable()), extra);
  }

  /** Ends every query and every connection, and writes the cache. */
  close(): void {
    for (const watch of this.upstreams) watch.close();
    this.ownEntries?.close();
    this.intentions?.close();
    this.identity?.close();
    this.endpoints.close();
    this.ownPlace.close();
    this.queries.close();
    this.registration?.close();
    this.agent.close();
    this.deps.cache?.close();
  }
}
