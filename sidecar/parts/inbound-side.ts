/** The side of the peers: their listener, and the one connection to the local model service behind it. */

import type { ModelReport } from '../admin/view.js';
import type { Address, InboundConfig } from '../config/model.js';
import { IntentionTable } from '../core/intentions.js';
import { Inbound, type ModelEvidence } from '../inbound.js';
import { dialPlain } from '../relay/dial.js';
import type { Listener } from '../relay/listener.js';
import { Pool } from '../relay/pool.js';
import type { OwnIdentity } from './own-identity.js';
import { openListener, type Parts } from './parts.js';

export class InboundSide {
  readonly inbound: Inbound;
  address: Address | undefined;
  private listener: Listener | undefined;
  private intentionsVersion = 0;
  private supervisor: (() => ModelReport) | undefined;

  constructor(
    private readonly config: InboundConfig,
    service: string,
    private readonly identity: OwnIdentity | undefined,
    private readonly parts: Parts,
  ) {
    const { relay, settings, limits } = parts;
    const pool = new Pool(
      {
        config: { connections: 1, connectTimeoutMs: 5000, pingIntervalMs: 0, pingTimeoutMs: 0, maxAgeMs: 0 },
        settings,
        dial: () => dialPlain(config.local),
        onChange: () => this.onConnection(),
      },
      relay,
    );
    const intentions = this.tableOf(config);
    this.inbound = new Inbound(config, service, pool, intentions, relay, limits.replayBytesPerCall);
    identity?.onRotated(({ rootsChanged }) => {
      if (rootsChanged) this.listener?.review((link) => identity.stillTrusts(link));
    });
  }

  async start(): Promise<void> {
    this.inbound.pool.start();
    const { mtls, listen } = this.config;
    const tls = mtls === 'off' ? undefined : this.identity?.serverTls(mtls === 'permissive');
    this.listener = openListener(this.parts, {
      address: listen,
      ...(tls === undefined ? {} : { tls }),
      onStream: (link, stream, block, ended) => this.inbound.accept(link, stream, block, ended),
    });
    this.address = await this.listener.listen();
  }

  update(config: InboundConfig): void {
    this.inbound.update(config, this.tableOf(config), this.listener?.links ?? []);
  }

  private tableOf(config: InboundConfig): IntentionTable {
    this.intentionsVersion++;
    return new IntentionTable(config.intentions, config.defaultIntention, this.intentionsVersion);
  }

  /** A model nobody supervises is ready when it can be reached. */
  private onConnection(): void {
    if (this.supervisor !== undefined) return;
    const { pool, modelState } = this.inbound;
    if (pool.isConnected) this.inbound.setModel({ kind: 'ready' });
    else if (modelState.kind === 'ready' && !pool.isConnecting)
      this.inbound.setModel({ kind: 'away', why: pool.problem });
  }

  /** From a supervisor: the model came, went or is on its way. */
  setModelState(ready: boolean, why: string): void {
    if (ready) this.inbound.setModel({ kind: 'ready' });
    else if (this.inbound.modelState.kind !== 'starting') this.inbound.setModel({ kind: 'away', why });
  }

  superviseBy(report: () => ModelReport): void {
    this.supervisor = report;
  }

  model(): ModelReport {
    if (this.supervisor !== undefined) return this.supervisor();
    return { state: 'foreign', why: this.inbound.pool.problem, restarts: 0 };
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
    this.inbound.pool.stop();
  }
}
