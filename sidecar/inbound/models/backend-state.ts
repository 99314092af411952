import type { InboundConfig } from '../../config/model.js';
import type { InboundQueue } from '../../core/admission/queue.js';
import { MetadataKey } from '../../core/metadata-key.js';
import { LocalReplyReasons } from '../../core/outcome/local-reply-reason.js';
import type { HeaderField } from '../../http2/hpack/field.js';
import { nameField } from '../../http2/hpack/name-field.js';
import type { BufferAdmission } from '../../relay/buffer-admission.js';
import { type LocalReply, makeLocalReply } from '../../relay/local-reply.js';
import type { DataPlaneContext } from '../../transport/context.js';
import type { Pool } from '../../transport/pool.js';
import type { InboundAdmission, SharedLimits } from '../admission.js';
import type { InboundCall, Ticket } from '../call.js';
import type { CallTap } from '../call-tap.js';
import { ModelInstance, type ModelState } from '../model-instance.js';
import { BackendQueues } from './backend-queues.js';
import { InstanceChoice } from './instance-choice.js';
import { ServerCalls } from './server-calls.js';

/** Where a model is served. */
export interface ServedModel {
  /** Empty: the only server, whatever models it has; calls are not read for a model name. */
  readonly name: string;
  /** Absent: versions are not told apart, and its process knows which it has. */
  readonly version?: string;
  /** One for each instance; several models of one process share one. */
  readonly pools: readonly Pool[];
}

/** What the models behind one inbound side share. */
export interface BackendDeps {
  readonly service: string;
  readonly context: DataPlaneContext;
  readonly limits: SharedLimits;
  readonly buffers: BufferAdmission;
  /** There is one model, and calls are not read for its name. */
  readonly isOnly: boolean;
  /** The models, in the order in which they came. */
  readonly all: readonly BackendState[];
  /** A model has changed its state. */
  onState(): void;
}

/**
 * What one model is among those of its service: its name and version, the instances that run its calls, its queues, whether it
 * takes calls and which share of them. The way of a call through it is `ModelBackend`.
 */
export abstract class BackendState {
  readonly name: string;
  /** Empty: versions are not told apart. */
  readonly version: string;
  /** It gets no new calls: another version has taken them over, or it is unloaded. */
  isRetired = false;
  /**
   * Of the calls that name no version, the share that it takes: 1, or less while it is tried out; 0: it gets no call at all,
   * named or not.
   */
  share = 1;
  /** Another version has taken over, and may have to give back: it gets calls only where that one is not ready. */
  isStandby = false;
  /** Null: nothing is compared. */
  tap: CallTap | null = null;
  /** Calls that run, wait or are suspended. */
  private calls = 0;
  private onIdle: (() => void) | null = null;
  /** At least one; `concurrency` counts for each. */
  readonly instances: readonly ModelInstance[];
  /** Its queues: one, or more where models that it does not tell apart have limits of their own. */
  readonly queues: BackendQueues;
  /** `outrider-model`, sent with a failure of this model only, so that callers do not hold it against others; null: there is one model. */
  readonly modelField: HeaderField | null;
  protected readonly context: DataPlaneContext;
  protected readonly choice: InstanceChoice;
  protected readonly serverCalls: ServerCalls;

  constructor(
    { name, version = '', pools }: ServedModel,
    config: InboundConfig,
    protected readonly deps: BackendDeps,
  ) {
    const { service, context, limits, isOnly } = deps;
    this.name = name;
    this.version = version;
    this.context = context;
    this.serverCalls = new ServerCalls(service);
    const modelField = isOnly ? null : nameField(MetadataKey.model, name);
    this.modelField = modelField;
    this.queues = new BackendQueues(name, version, config, { service, context, shared: limits });
    const onState = () => this.onState();
    this.instances = pools.map((pool, i) => {
      const label = pools.length === 1 ? undefined : `local.${i + 1}`;
      const silentStreams = this.sharing(pool)?.silentStreams;
      const repeat = (call: InboundCall) => this.repeat(call);
      return new ModelInstance({ pool, service, context, modelField, label, silentStreams, onState, repeat });
    });
    this.choice = new InstanceChoice(this.instances, context);
  }

  /** An instance has changed. */
  protected abstract onState(): void;

  /** Sends a call that was lost with an instance to another one, and says whether it did. */
  abstract repeat(call: InboundCall): boolean;

  /** An instance of another model behind the same connections. */
  private sharing(pool: Pool): ModelInstance | undefined {
    for (const { instances } of this.deps.all)
      for (const instance of instances) if (instance.pool === pool) return instance;
    return undefined;
  }

  /** Ready while one instance is, on probation while each of these is; away when none is and none is still starting. */
  get state(): ModelState {
    const { instances } = this;
    const [first] = instances;
    if (instances.length === 1) return first!.state;
    const ready =
      instances.find((each) => each.isReady && !each.isOnProbation) ??
      instances.find(({ isReady }) => isReady) ??
      instances.find(isStarting);
    return (ready ?? first!).state;
  }

  /** The limits of what has none of its own. */
  get limits(): InboundAdmission {
    return this.queues.whole;
  }

  get queue(): InboundQueue<Ticket> {
    return this.limits.queue;
  }

  /**
   * The reply while the model is away. Where other models of this service are or will be served, it names the one, so that
   * calls to the others still come here.
   */
  unavailable(detail: string): LocalReply {
    const { name: model, modelField } = this;
    const { service, all } = this.deps;
    const values = { service, model, detail };
    return modelField === null || all.every(({ state }) => state.kind === 'away')
      ? makeLocalReply(LocalReplyReasons.modelUnavailable, values)
      : makeLocalReply(LocalReplyReasons.modelNotReady, values, modelField);
  }

  /** It gets no new calls from now on; those that it has go on. */
  retire(): void {
    this.isRetired = true;
  }

  /** Calls `fn` when the last call has ended; at once when there is none. */
  whenIdle(fn: () => void): void {
    this.onIdle = fn;
    if (this.calls === 0) fn();
  }

  /** A call has been offered to a queue. */
  protected noteBegin(): void {
    this.calls++;
  }

  /** It is over. */
  protected noteEnd(): void {
    this.calls--;
    if (this.calls === 0) this.onIdle?.();
  }
}

function isStarting({ state }: ModelInstance): boolean {
  return state.kind === 'starting';
}
