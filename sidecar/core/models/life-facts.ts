import type { LifeState } from './life.js';
import type { LoadState } from './load-state.js';

/** Where one process of a version stands. */
export type ProcessFact =
  /** It has not been started, or has ended for good. */
  | 'none'
  | 'starting'
  /** It has loaded the model, and runs it for the first time. */
  | 'warming'
  | 'ready'
  /** It hangs, and is about to be killed. */
  | 'unresponsive'
  | 'backing-off'
  | 'given-up';

/** What is known of a version at one moment. */
export interface LifeFacts {
  readonly load: LoadState['kind'];
  readonly processes: readonly ProcessFact[];
  /** Another version answers the calls, and this one gets none. */
  readonly isHeld: boolean;
  /** Its golden input has passed at the processes that run now; told apart only while it is held. */
  readonly isProven: boolean;
  /** Why a rollout has decided against it; empty: none has. */
  readonly rejection: string;
  /** What speaks against a version that serves; empty: nothing. */
  readonly suspicion: string;
}

/**
 * The state that these facts mean, for a version that was in `before`. Of several processes the one that is furthest counts,
 * as calls go to it.
 */
export function lifeOf(facts: LifeFacts, before: LifeState): LifeState {
  const { load, processes, isHeld, isProven, rejection, suspicion } = facts;
  if (load === 'failed' || rejection !== '') return 'rejected';
  if (load === 'unloading') {
    if (before === 'rejected') return before;
    return before === 'pending' ? 'stopped' : 'draining';
  }
  if (load === 'ready') {
    if (isHeld) return isProven ? 'shadow' : 'golden';
    return suspicion === '' ? 'serving' : 'suspect';
  }
  const has = (fact: ProcessFact): boolean => processes.includes(fact);
  if (has('ready') || has('warming')) return 'warming';
  if (has('starting')) return 'loading';
  // It is killed next; what never served has nothing to be suspected of.
  if (has('unresponsive')) return before === 'serving' || before === 'suspect' ? 'suspect' : 'backing-off';
  if (has('backing-off')) return 'backing-off';
  return has('given-up') ? 'given-up' : before;
}
