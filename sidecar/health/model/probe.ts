/** A direct question to the local model, and what its answer proves. */

import type { Address } from '../../config/model.js';
import type { Timers } from '../../runtime/time/timers.js';
import { HealthProbe } from './health-probe.js';

export type ProbeAnswer =
  | { readonly kind: 'passed' }
  /** It computes, and not what it should: one sentence. */
  | { readonly kind: 'wrong'; readonly why: string }
  /** It answers that it does not do it: one sentence. */
  | { readonly kind: 'failed'; readonly why: string }
  /** Nobody answered in time, or at all. */
  | { readonly kind: 'silent'; readonly why: string };

export interface ModelProbe {
  /** What it asks, as the subject of a sentence. */
  readonly name: string;
  /** Never rejects. */
  ask(timeoutMs: number): Promise<ProbeAnswer>;
  close(): void;
}

/** For servers without golden cards: what their health service says. */
export function healthProbe(address: Address, timers: Timers): ModelProbe {
  const probe = new HealthProbe(address, timers);
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
