import { SilentStreams } from '../core/admission/silent-streams.js';
import type { ProcessEnd } from '../core/health/process-end.js';
import { LocalReplyReasons } from '../core/outcome/local-reply-reason.js';
import type { HeaderField } from '../http2/hpack/field.js';
import { makeLocalReply } from '../relay/local-reply.js';
import { failCall } from '../relay/response.js';
import type { DataPlaneContext } from '../transport/context.js';
import type { Pool } from '../transport/pool.js';
import { EndingServer } from './backend/ending-server.js';
import { RefusingModel } from './backend/refusing-model.js';
import type { InboundCall, Ticket } from './call.js';
import { ModelActivity } from './model-activity.js';
import { LostCalls } from './process-end-wait.js';

/** Whether a model takes calls. */
export type ModelState =
  /** `isOnProbation`: the process before this one died, and this one has not been up for long. */
  | { readonly kind: 'ready'; readonly isOnProbation?: boolean }
  /** Not yet ready for the first time: calls wait in the queue. */
  | { readonly kind: 'starting' }
  /** It was ready and is not, or will not be: calls are refused, so that the caller's sidecar tries another replica. */
  | { readonly kind: 'away'; readonly why: string };

export interface ModelInstanceOptions {
  readonly pool: Pool;
  readonly service: string;
  readonly context: DataPlaneContext;
  /** `outrider-model`, for failures that concern this model only; null: there is one model. */
  readonly modelField: HeaderField | null;
  /** For logs; absent: the model has one instance. */
  readonly label?: string | undefined;
  /** Idle calls behind the same connections, where several models share them. */
  readonly silentStreams?: SilentStreams<Ticket> | undefined;
  /** Called after every change of its state. */
  onState(): void;
  /** Sends a call that was lost with the process to another instance, and says whether it did. */
  repeat(call: InboundCall): boolean;
}

/**
 * One process that serves a model: the connections to it, its state, and the calls that it runs. A model with several
 * instances has one queue before all of them (`ModelBackend`).
 */
export class ModelInstance {
  /** The target of attempts. */
  readonly pool: Pool;
  readonly label?: string;
  readonly activity = new ModelActivity();
  readonly lostCalls: LostCalls;
  /** Whether calls that it did not take say something about it. */
  readonly refusing = new RefusingModel();
  /** Whether it is being shut down while it answers that it has no such model. */
  readonly endingServer: EndingServer;
  /** Its suspended calls; shared by all models behind the same connections. */
  readonly silentStreams: SilentStreams<Ticket>;
  state: ModelState = { kind: 'starting' };

  constructor(private readonly options: ModelInstanceOptions) {
    const { pool, service, modelField, silentStreams, label, context } = options;
    this.pool = pool;
    if (label !== undefined) this.label = label;
    this.lostCalls = new LostCalls(service, modelField, options.repeat);
    this.endingServer = new EndingServer(this, context);
    this.silentStreams = silentStreams ?? new SilentStreams<Ticket>();
    pool.onExhausted = () => this.endExcessStreams();
  }

  // ---- what the choice among instances reads ----

  get isReady(): boolean {
    return this.state.kind === 'ready';
  }

  get isOnProbation(): boolean {
    return this.state.kind === 'ready' && this.state.isOnProbation === true;
  }

  /** Why it takes no calls any more; null: it does, or will. */
  get whyAway(): string | null {
    return this.state.kind === 'away' ? this.state.why : null;
  }

  get isConnected(): boolean {
    return this.pool.isConnected;
  }

  get inFlight(): number {
    return this.activity.inFlight;
  }

  // ---- changes ----

  setState(state: ModelState): void {
    const { context } = this.options;
    context.nowMs = context.clock.now();
    this.state = state;
    if (state.kind === 'away') this.endingServer.onAway(state.why);
    this.options.onState();
  }

  /** The process has ended, and its calls with it. */
  onProcessEnd(end: ProcessEnd): void {
    const { context } = this.options;
    context.nowMs = context.clock.now();
    this.lostCalls.onProcessEnd(end, context.nowMs);
    this.endingServer.onAway(end.how);
  }

  /**
   * Calls wait for a stream to the process, and its connections allow no more: callers with more than their share of the
   * streams lose suspended ones.
   */
  endExcessStreams(): void {
    const { pool, silentStreams } = this;
    while (pool.isExhausted) {
      const ticket = silentStreams.overShare(pool.inFlight);
      if (ticket === null || !pool.hasWaitersBesides(ticket.holder)) return;
      silentStreams.delete(ticket);
      failCall(
        ticket.call,
        makeLocalReply(LocalReplyReasons.silentStream, { service: this.options.service }),
      );
    }
  }
}
