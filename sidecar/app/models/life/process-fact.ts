import type { ProcessFact } from '../../../core/models/life-facts.js';
import type { ModelReport } from '../../../telemetry/reports.js';

/** Where the process behind a model server stands, by what its supervisor says; `isWarming`: by what it says itself. */
export function processFactOf(state: ModelReport['state'], isWarming: boolean): ProcessFact {
  switch (state) {
    case 'starting':
      return isWarming ? 'warming' : 'starting';
    case 'backoff':
      return 'backing-off';
    case 'failed':
    case 'foreign':
      // Nothing is known of a process that something else has started.
      return 'starting';
    case 'stopping':
    case 'stopped':
      return 'none';
    default:
      return state;
  }
}
