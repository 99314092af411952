/**
 * One model behind the inbound side, or all of a server that is not asked which: how it is, the connections to its
 * process, the line before it, and the calls it has under way.
 */

import type { InboundConfig } from '../config/model.js';
import type { InboundQueue } from '../core/admission/queue.js';
import { SilentStreams } from '../core/admission/silent-streams.js';
import { type HeaderField, makeField } from '../http2/hpack/field.js';
import type { DataPlaneContext } from '../transport/context.js';
import type { Pool } from '../transport/pool.js';
import { InboundAdmission, type SharedLimits } from './admission.js';
import type { Ticket } from './call.js';
import { ModelActivity } from './model-activity.js';
import { LostCalls } from './process-end-wait.js';

export type ModelState =
  | { readonly kind: 'ready' }
  /** Not yet ready for the first time: calls wait in line for it. */
  | { readonly kind: 'starting' }
  /** It was ready and is not, or will not be: calls are turned away, so that the caller's sidecar tries another replica. */
  | { readonly kind: 'away'; readonly why: string };

/** Where a model is served. */
export interface ServedModel {
  /** Empty: whatever the server there serves, its calls are not asked for a name. */
  readonly name: string;
  /** Several models of one process share it. */
  readonly pool: Pool;
}

export class ModelBackend {
  readonly name: string;
  /** Its attempts go there. */
  readonly pool: Pool;
  readonly limits: InboundAdmission;
  readonly activity = new ModelActivity();
  readonly lostCalls: LostCalls;
  /** Its calls on which nothing moves; of all models behind the same connections. */
  silentStreams = new SilentStreams<Ticket>();
  /** Said beside what befell this model only, so that callers do not hold it against others; null: there are none. */
  readonly modelField: HeaderField | null;
  state: ModelState = { kind: 'starting' };

  constructor(
    { name, pool }: ServedModel,
    config: InboundConfig,
    service: string,
    context: DataPlaneContext,
    shared: SharedLimits,
    isOneOfMany: boolean,
  ) {
    this.name = name;
    this.pool = pool;
    this.modelField = isOneOfMany ? makeField('outrider-model', encodeURIComponent(name)) : null;
    this.lostCalls = new LostCalls(service, this.modelField);
    this.limits = new InboundAdmission(config, service, context, shared);
  }

  get queue(): InboundQueue<Ticket> {
    return this.limits.queue;
  }
}
