import { hashText } from '../core/balancing/hash.js';
import { NO_STICKY_KEY, type StickyKey } from '../core/outlier/key-trials.js';
import type { OutboundCall } from './call.js';
import { groupFor } from './called-model/called-model.js';

/** What the call sticks to its endpoint by: the key of the balancer, or a model that only some endpoints have. */
export function stickyKeyOf(call: OutboundCall): StickyKey {
  const key = call.routeDecision?.key ?? NO_STICKY_KEY;
  if (key >= 0 || call.cluster.claims === null) return key < 0 ? NO_STICKY_KEY : key;
  const model = groupFor(call)?.model;
  return model === undefined ? NO_STICKY_KEY : hashText(model);
}
