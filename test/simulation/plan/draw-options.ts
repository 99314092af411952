/** Parts of the files of callers. */
import type { ReplicaPlan } from './plan.js';

/** What the file of a caller says of endpoints. */
export interface Reachable {
  readonly replicas: readonly ReplicaPlan[];
  /** The one without new calls. */
  readonly idle?: string;
  /** By DNS: the name that has one of them. */
  readonly isFew?: boolean;
}

/** Of extra attempts: soon used up. */
export const SMALL_BUDGETS = [
  { ratio: 0, per_second: 1 },
  { ratio: 0.05, per_second: 0.1 },
  { ratio: 0.2, per_second: 0 },
];

export const DETECTORS = {
  success_ratio: { mode: 'enforce' },
  success_rate: { mode: 'enforce' },
  failure_ratio: { mode: 'enforce' },
  latency: { mode: 'enforce' },
};
