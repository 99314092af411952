import type { Address, InboundConfig, ModelProcessConfig } from '../config/model.js';
import { IntentionTable } from '../core/authorization/intentions.js';
import { HealthResponder } from '../health/model/responder.js';
import type { ServedModel } from '../inbound/model-backend.js';
import { Inbound } from '../inbound.js';
import { getOrInsert } from '../runtime/get-or-insert.js';
import { SOCKET_NAMES } from '../runtime/process/listen-sockets.js';
import type { ModelReport } from '../telemetry/reports.js';
import type { Listener } from '../transport/listener.js';
import type { Pool } from '../transport/pool.js';
import { type AppContext, openListener } from './context.js';
import { modelServers } from './model-addresses.js';
import { ModelHost } from './model-host.js';
import { ModelStatuses } from './model-status.js';
import type { TlsIdentity } from './tls-identity.js';

export interface InboundSideOptions {
  readonly service: string;
  readonly identity: TlsIdentity | undefined;
  /** `registry`: intentions come from Consul, by `setIntentions`. */
  readonly intentionsFrom: 'file' | 'registry';
  /** Absent: the model server is started by something else. */
  readonly process?: Pick<ModelProcessConfig, 'isolation' | 'instances'> | undefined;
}

/**
 * The side towards peers: the inbound listener, the calls to the local models, and the state of
 * those models.
 */
export class InboundSide {
  readonly inbound: Inbound;
  /** The model servers, at least one. */
  readonly hosts: readonly ModelHost[];
  readonly statuses: ModelStatuses;
  /** Called after every change of a model's state. */
  onModel: () => void = () => {};
  address: Address | undefined;
  private listener: Listener | undefined;
  private intentions: IntentionTable;
  private fileVersion = 0;

  constructor(
    private config: InboundConfig,
    private readonly context: AppContext,
    private readonly options: InboundSideOptions,
  ) {
    const { dataPlane, limits, deps } = context;
    const { service, identity } = options;
    const servers = modelServers(config, options.process);
    this.hosts = servers.map((spec) => new ModelHost(spec, context, { hasOthers: servers.length > 1 }));
    this.intentions = options.intentionsFrom === 'file' ? this.tableOf(config) : IntentionTable.notLoaded(0);
    this.inbound = new Inbound(
      config,
      service,
      servedBy(this.hosts),
      this.intentions,
      dataPlane,
      limits.replayBytesPerCall,
      deps.readMemory,
    );
    this.attachHosts();
    this.statuses = new ModelStatuses(config, this.hosts, context);
    this.inbound.health = new HealthResponder((service) => this.statuses.serving(service));
    identity?.onRotated(({ rootsChanged }) => {
      if (rootsChanged) this.listener?.review((session) => identity.stillTrusts(session));
    });
    identity?.onExpiry(() => this.listener?.retireSessions());
  }

  /** Gives each model server its instances of the backends, which `Inbound` made in the same order. */
  private attachHosts(): void {
    for (const host of this.hosts) {
      const hosted = this.inbound.backends.flatMap((backend) => {
        const instance = backend.instances.find(({ pool }) => pool === host.pool);
        return instance === undefined ? [] : [{ backend, instance }];
      });
      host.attach(hosted);
      host.onChange = ({ instance }) => {
        this.statuses.changed(instance);
        this.onModel();
      };
    }
  }

  async start(): Promise<void> {
    for (const host of this.hosts) host.start();
    const { mtls, listen } = this.config;
    const tls =
      mtls === 'off' ? undefined : this.options.identity?.serverTls({ alsoPlaintext: mtls === 'permissive' });
    this.listener = openListener(this.context, SOCKET_NAMES.inbound, {
      address: listen,
      ...(tls === undefined ? {} : { tls }),
      onStream: (session, stream, block, ended) => this.inbound.accept(session, stream, block, ended),
    });
    this.address = await this.listener.listen();
  }

  /** Applies a changed `inbound` block. */
  update(config: InboundConfig): void {
    this.config = config;
    if (this.options.intentionsFrom === 'file') this.intentions = this.tableOf(config);
    this.inbound.update(config, this.intentions, this.listener?.sessions ?? []);
  }

  /** Intentions from Consul. Calls in flight that are no longer allowed are ended. */
  setIntentions(table: IntentionTable): void {
    this.intentions = table;
    this.inbound.setIntentions(table, this.listener?.sessions ?? []);
  }

  private tableOf(config: InboundConfig): IntentionTable {
    this.fileVersion++;
    return new IntentionTable(config.intentions, config.defaultIntention, this.fileVersion);
  }

  /** All models together: ready while one is; `why` lists the others. */
  model(): ModelReport {
    const reports = this.models();
    const [first] = reports;
    if (reports.length === 1) return first!;
    const served = reports.find(({ state }) => state === 'ready');
    const out = reports.filter(({ state }) => state !== 'ready');
    const [{ pid }] = this.hosts.map((host) => host.report()) as [ModelReport];
    return {
      state: (served ?? first!).state,
      why: out.map(({ name, why, state }) => `${name}: ${why === '' ? state : why}`).join('; '),
      restarts: this.hosts.reduce((sum, host) => sum + host.report().restarts, 0),
      ...(this.hosts.length > 1 || pid === undefined ? {} : { pid }),
    };
  }

  /** Each model; without a name for a server of another make. */
  models(): readonly ModelReport[] {
    return this.hosts.flatMap((host) => host.reports());
  }

  /**
   * Models that still start count as reasons; models that cannot be served only while no model is
   * ready.
   */
  notReady(): string[] {
    const { backends } = this.inbound;
    const isServing = backends.some(({ state }) => state.kind === 'ready');
    return backends.flatMap(({ name, state }) => {
      if (state.kind === 'ready' || (isServing && state.kind === 'away')) return [];
      const model = backends.length === 1 ? 'model' : `model ${name}`;
      return [`${model}: ${state.kind === 'away' ? state.why : 'starting'}`];
    });
  }

  get listeners(): readonly Listener[] {
    return this.listener === undefined ? [] : [this.listener];
  }

  stop(): void {
    this.listener?.stop();
    this.statuses.close();
    for (const host of this.hosts) host.stop();
  }
}

/** The models of these servers; a model that several serve has several instances. */
function servedBy(hosts: readonly ModelHost[]): readonly ServedModel[] {
  const pools = new Map<string, Pool[]>();
  for (const { names, pool } of hosts)
    for (const name of names) getOrInsert(pools, name, () => []).push(pool);
  return [...pools].map(([name, each]) => ({ name, pools: each }));
}
