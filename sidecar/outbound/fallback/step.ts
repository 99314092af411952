import type { FallbackConfig } from '../../config/model.js';
import { encodeName } from '../../http2/hpack/name-field.js';
import type { Next } from '../../relay/next.js';
import type { FallbackState, OutboundCall } from '../call.js';

/** The configuration of one kind of step. */
export type StepConfig<Kind extends FallbackConfig['kind']> = Extract<
  FallbackConfig,
  { readonly kind: Kind }
>;

/**
 * One kind of fallback step. `handled`: the call has an answer, or another upstream has it, or it waits for the rest of its
 * request; `continue`: this step cannot serve it. The call is its own upstream's again when a step begins.
 */
export type FallbackStep<Config = FallbackConfig> = (
  call: OutboundCall,
  fallback: FallbackState,
  config: Config,
) => Next;

/** Notes what answers the call instead, for `outrider-degraded` and the counters. */
export function markDegraded(call: OutboundCall, fallback: FallbackState, from: string): void {
  fallback.from = from;
  call.degraded = `${fallback.why}; from=${encodeName(from)}`;
}
