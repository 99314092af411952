/**
 * The side of the peers: their listener, and the one connection to the local model service behind it. Who may call is
 * said by the file, or by the registry; then nobody may until that has been heard.
 */

import type { ModelReport } from '../admin/view.js';
import type { Address, InboundConfig } from '../config/model.js';
import { IntentionTable } from '../core/intentions.js';
import { HealthAnswers } from '../health/health-answers.js';
import { Inbound } from '../inbound.js';
import type { ModelEvidence } from '../inbound-runs.js';
import type { ModelState } from '../inbound-slot.js';
import { dialPlain } from '../relay/dial.js';
import type { Listener } from '../relay/listener.js';
import { Pool } from '../relay/pool.js';
import { SOCKET_NAMES } from '../runtime/listen-sockets.js';
import { ModelWatch } from './model-watch.js';
import type { OwnIdentity } from './own-identity.js';
import { openListener, type Parts } from './parts.js';

/** A connect on this machine costs next to nothing, and whoever waits for the model waits for it: at most this between two. */
const LOCAL_BACKOFF_MS = 250;

export class InboundSide {
  readonly inbound: Inbound;
  readonly watch: ModelWatch;
  private readonly pool: Pool;
  address: Address | undefined;
  private listener: Listener | undefined;
  private intentions: IntentionTable;
  private fileVersion = 0;
  private supervisor: (() => ModelReport) | undefined;

  constructor(
    private config: InboundConfig,
    service: string,
    private readonly identity: OwnIdentity | undefined,
    private readonly parts: Parts,
    private readonly intentionsFrom: 'file' | 'registry',
  ) {
    const { relay, settings, limits, deps } = parts;
    const pool = new Pool(
      {
        config: { connections: 1, connectTimeoutMs: 5000, pingIntervalMs: 0, pingTimeoutMs: 0, maxAgeMs: 0 },
        settings,
        dial: () => dialPlain(config.local),
        backoffMaxMs: LOCAL_BACKOFF_MS,
        onChange: () => this.onConnection(),
      },
      relay,
    );
    this.pool = pool;
    this.intentions = intentionsFrom === 'file' ? this.tableOf(config) : IntentionTable.notLoaded(0);
    this.inbound = new Inbound(
      config,
      service,
      [{ name: '', pool }],
      this.intentions,
      relay,
      limits.replayBytesPerCall,
      deps.readMemory,
    );
    this.watch = new ModelWatch(config, this.inbound, parts);
    this.inbound.health = new HealthAnswers((service) => this.watch.serving(service));
    identity?.onRotated(({ rootsChanged }) => {
      if (rootsChanged) this.listener?.review((link) => identity.stillTrusts(link));
    });
    identity?.onExpiry(() => this.listener?.renew());
  }

  async start(): Promise<void> {
    this.pool.start();
    const { mtls, listen } = this.config;
    const tls = mtls === 'off' ? undefined : this.identity?.serverTls(mtls === 'permissive');
    this.listener = openListener(this.parts, SOCKET_NAMES.inbound, {
      address: listen,
      ...(tls === undefined ? {} : { tls }),
      onStream: (link, stream, block, ended) => this.inbound.accept(link, stream, block, ended),
    });
    this.address = await this.listener.listen();
  }

  update(config: InboundConfig): void {
    this.config = config;
    if (this.intentionsFrom === 'file') this.intentions = this.tableOf(config);
    this.inbound.update(config, this.intentions, this.listener?.links ?? []);
  }

  /** From the registry. Calls under way that are no longer allowed are ended. */
  setIntentions(table: IntentionTable): void {
    this.intentions = table;
    this.inbound.setIntentions(table, this.listener?.links ?? []);
  }

  private tableOf(config: InboundConfig): IntentionTable {
    this.fileVersion++;
    return new IntentionTable(config.intentions, config.defaultIntention, this.fileVersion);
  }

  /** A model nobody supervises is ready when it can be reached. */
  private onConnection(): void {
    if (this.supervisor !== undefined) return;
    const { pool } = this;
    const { modelState } = this.inbound;
    if (pool.isConnected) this.setModel({ kind: 'ready' });
    else if (modelState.kind === 'ready' && !pool.isConnecting)
      this.setModel({ kind: 'away', why: pool.problem });
  }

  /** From a supervisor: the model came, went or is on its way. One that is given up is not waited for any more. */
  setModelState({ state, why }: ModelReport): void {
    if (state === 'ready') this.setModel({ kind: 'ready' });
    else if (state === 'given-up' || this.inbound.modelState.kind !== 'starting')
      this.setModel({ kind: 'away', why });
  }

  private setModel(state: ModelState): void {
    this.inbound.setModel(state);
    this.watch.changed();
  }

  superviseBy(report: () => ModelReport): void {
    this.supervisor = report;
    for (const { lost } of this.inbound.slots) lost.isTold = true;
  }

  model(): ModelReport {
    if (this.supervisor !== undefined) return this.supervisor();
    return { state: 'foreign', why: this.pool.problem, restarts: 0 };
  }

  evidence(): ModelEvidence {
    return this.inbound.evidence();
  }

  notReady(): string[] {
    const { modelState } = this.inbound;
    if (modelState.kind === 'ready') return [];
    return [`model: ${modelState.kind === 'away' ? modelState.why : 'starting'}`];
  }

  get listeners(): readonly Listener[] {
    return this.listener === undefined ? [] : [this.listener];
  }

  stop(): void {
    this.listener?.stop();
    this.watch.close();
    this.pool.stop();
  }
}
