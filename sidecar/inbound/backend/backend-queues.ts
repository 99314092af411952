import type { InboundConfig } from '../../config/model.js';
import { limitOf, limitsWithin, type ModelLimit, withLimit } from '../../core/admission/model-limits.js';
import type { DataPlaneContext } from '../../transport/context.js';
import { InboundAdmission, type SharedLimits } from '../admission.js';
import type { InboundCall } from '../call.js';
import { ModelRoutedCall } from '../model-routed-call.js';

/** The queue of one model, or of what no other queue takes, with the names for its counters. */
export interface NamedQueue {
  /** Empty: it is for all models that have no queue of their own. */
  readonly name: string;
  /** Empty: versions are not told apart. */
  readonly version: string;
  readonly limits: InboundAdmission;
}

/** What the queues of one backend need. */
export interface BackendQueuesDeps {
  readonly service: string;
  readonly context: DataPlaneContext;
  readonly shared: SharedLimits;
}

/**
 * The queues before one backend: one for all of its calls, and one more for each model or version that `queue.models` gives
 * limits of its own and that no other backend tells apart. Without such limits a call costs a null check.
 */
export class BackendQueues {
  readonly whole: InboundAdmission;
  /** In the order of the file. Null: all calls go by the same queue. */
  private named: readonly NamedQueue[] | null = null;
  /** What each of them is about. */
  private limits: readonly ModelLimit[] = [];
  /** Not configured any more; they have calls left. */
  private leaving: InboundAdmission[] = [];
  /** Instances that are ready, for queues that are made later. */
  private ready = 0;

  constructor(
    private readonly name: string,
    private readonly version: string,
    config: InboundConfig,
    private readonly deps: BackendQueuesDeps,
  ) {
    this.whole = this.makeQueue(this.wholeConfig(config));
    this.setNamed(config);
  }

  /** The queue of a call, whose model has been read where there is one that makes a difference. */
  of(call: InboundCall): InboundAdmission {
    const { named } = this;
    if (named === null || !(call instanceof ModelRoutedCall) || call.model === '') return this.whole;
    const limit = limitOf(this.limits, call.model, call.version);
    return limit === undefined ? this.whole : named[this.limits.indexOf(limit)]!.limits;
  }

  /** Every queue that may have calls: the whole's first. */
  get all(): readonly InboundAdmission[] {
    if (this.named === null && this.leaving.length === 0) return [this.whole];
    return [this.whole, ...(this.named ?? []).map(({ limits }) => limits), ...this.leaving];
  }

  /** Every queue that gets calls, with its names. */
  get list(): readonly NamedQueue[] {
    const { name, version, whole } = this;
    return [{ name, version, limits: whole }, ...(this.named ?? [])];
  }

  /** Takes over changed limits. A queue that is not configured any more goes on until its last call has ended. */
  update(config: InboundConfig): void {
    this.whole.update(this.wholeConfig(config));
    this.setNamed(config);
  }

  /** So many instances are ready. */
  open(ready: number): void {
    this.ready = ready;
    for (const each of this.all) each.open(ready);
  }

  /** What all limits share has changed. */
  resize(): void {
    for (const each of this.all) each.resize();
  }

  private wholeConfig(config: InboundConfig): InboundConfig {
    const { models = [] } = config.queue;
    const limit = this.name === '' ? undefined : limitOf(models, this.name, this.version);
    return { ...config, queue: withLimit(config.queue, limit) };
  }

  private setNamed(config: InboundConfig): void {
    const before = [...(this.named ?? [])];
    this.limits = limitsWithin(config.queue.models ?? [], this.name, this.version);
    const next = this.limits.map((limit) => {
      const own = { ...config, queue: withLimit(config.queue, limit) };
      const { model: name, version = '' } = limit;
      const at = before.findIndex((each) => each.name === name && each.version === version);
      const [kept] = at < 0 ? [] : before.splice(at, 1);
      kept?.limits.update(own);
      return { name, version, limits: kept?.limits ?? this.makeQueue(own) };
    });
    this.leaving = [...this.leaving, ...before.map(({ limits }) => limits)].filter(({ queue }) => {
      return queue.running + queue.waiting + queue.suspended > 0;
    });
    this.named = next.length === 0 ? null : next;
  }

  private makeQueue(config: InboundConfig): InboundAdmission {
    const { service, context, shared } = this.deps;
    const limits = new InboundAdmission(config, service, context, shared);
    limits.open(this.ready);
    return limits;
  }
}
