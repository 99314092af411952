import type { Address, InboundConfig, ModelProcessConfig } from '../config/model.js';
import { IntentionTable } from '../core/authorization/intentions.js';
import { HealthResponder } from '../health/model/responder.js';
import { Inbound } from '../inbound.js';
import { SOCKET_NAMES } from '../runtime/process/listen-sockets.js';
import type { ModelReport } from '../telemetry/reports.js';
import type { Listener } from '../transport/listener.js';
import { type AppContext, openListener } from './context.js';
import { modelServers } from './model-addresses.js';
import { ModelHost } from './model-host.js';
import { ModelStatuses } from './model-status.js';
import type { TlsIdentity } from './tls-identity.js';

export class InboundSide {
  readonly inbound: Inbound;
  /** The processes of the models, at least one. */
  readonly hosts: readonly ModelHost[];
  readonly statuses: ModelStatuses;
  /** The state of a model changed. */
  onModel: () => void = () => {};
  address: Address | undefined;
  private listener: Listener | undefined;
  private intentions: IntentionTable;
  private fileVersion = 0;

  constructor(
    private config: InboundConfig,
    service: string,
    private readonly identity: TlsIdentity | undefined,
    private readonly context: AppContext,
    private readonly intentionsFrom: 'file' | 'registry',
    isolation?: ModelProcessConfig['isolation'],
  ) {
    const { dataPlane, limits, deps } = context;
    const places = modelServers(config, isolation);
    this.hosts = places.map((place) => new ModelHost(place, context, places.length > 1));
    this.intentions = intentionsFrom === 'file' ? this.tableOf(config) : IntentionTable.notLoaded(0);
    this.inbound = new Inbound(
      config,
      service,
      this.hosts.flatMap((host) => host.served()),
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
    identity?.onExpiry(() => this.listener?.renew());
  }

  private attachHosts(): void {
    let at = 0;
    for (const host of this.hosts) {
      const end = at + host.served().length;
      host.attach(this.inbound.backends.slice(at, end));
      host.onChange = (backend) => {
        this.statuses.changed(backend);
        this.onModel();
      };
      at = end;
    }
  }

  async start(): Promise<void> {
    for (const host of this.hosts) host.start();
    const { mtls, listen } = this.config;
    const tls = mtls === 'off' ? undefined : this.identity?.serverTls(mtls === 'permissive');
    this.listener = openListener(this.context, SOCKET_NAMES.inbound, {
      address: listen,
      ...(tls === undefined ? {} : { tls }),
      onStream: (session, stream, block, ended) => this.inbound.accept(session, stream, block, ended),
    });
    this.address = await this.listener.listen();
  }

  update(config: InboundConfig): void {
    this.config = config;
    if (this.intentionsFrom === 'file') this.intentions = this.tableOf(config);
    this.inbound.update(config, this.intentions, this.listener?.sessions ?? []);
  }

  /** From the registry. Calls under way that are no longer allowed are ended. */
  setIntentions(table: IntentionTable): void {
    this.intentions = table;
    this.inbound.setIntentions(table, this.listener?.sessions ?? []);
  }

  private tableOf(config: InboundConfig): IntentionTable {
    this.fileVersion++;
    return new IntentionTable(config.intentions, config.defaultIntention, this.fileVersion);
  }

  /** Of the models together: ready as long as one is. */
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

  /** Of each model; one without a name is a server that is not asked which models it has. */
  models(): readonly ModelReport[] {
    return this.hosts.flatMap((host) => host.reports());
  }

  /** While one model is served, those that are known not to be are no reason; those that still start are. */
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
