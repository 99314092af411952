import type { Address } from '../../config/model.js';
import type { ModelClientDeps } from './grpc-client.js';
import { HealthProbe } from './health-probe.js';

/**
 * What a probe of the local model has shown; `why` is one sentence. `wrong`: the model computes something else than
 * expected; `failed`: it answers with an error; `silent`: no answer in time, or no connection.
 */
export type ProbeAnswer =
  | { readonly kind: 'passed' }
  | { readonly kind: 'wrong' | 'failed' | 'silent'; readonly why: string };

/** A direct probe of the local model, past the queue. */
export interface ModelProbe {
  /** Such as `the golden input`, for sentences. */
  readonly name: string;
  /** Never rejects. */
  ask(timeoutMs: number): Promise<ProbeAnswer>;
  close(): void;
}

/** The probe of a server without a golden input: its health service. */
export function healthProbe(address: Address, deps: ModelClientDeps): ModelProbe {
  const probe = new HealthProbe(address, deps);
  return {
    name: 'the health check',
    async ask(timeoutMs) {
      const health = await probe.check(timeoutMs);
      if (health.kind === 'serving') return { kind: 'passed' };
      return { kind: health.kind === 'silent' ? 'silent' : 'failed', why: health.why };
    },
    close: () => probe.close(),
  };
}
