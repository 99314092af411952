/**
 * Where the state of a sequence is: with `hash_on.parameter`, at the endpoint of its key on the ring. Its calls are not taken away from there for a
 * probe or a hedge, nor because that endpoint is full or replaces its connection.
 */
import type { Endpoint } from '../cluster/endpoint.js';
import type { ModelGroup } from '../cluster/served-models/model-claims.js';
import type { OutboundCall } from './call.js';
import { groupFor } from './called-model/called-model.js';

/** The endpoint of a key, among those that may take calls; undefined: there is none. */
function ownerOf(
  { cluster, routeDecision }: OutboundCall,
  group: ModelGroup | undefined,
  mayTake: (endpoint: Endpoint) => boolean,
): Endpoint | undefined {
  const { key } = routeDecision!;
  if (group !== undefined) return group.ownerOf(key, mayTake);
  return cluster.balancer.ownerOf?.(cluster.active, key, mayTake);
}

/** The models that the call names are at these endpoints only; undefined: at any. */
export function groupWithModel(call: OutboundCall): ModelGroup | undefined {
  return call.cluster.claims === null ? undefined : groupFor(call);
}

/** Whether calls of this sequence would go to an ejected endpoint if it were admitted. */
export function wouldBeHome(call: OutboundCall, ejected: Endpoint): boolean {
  const { active, priorities } = call.cluster;
  // Of a priority that comes first, it would be the only one; of one that comes later, it would get no calls.
  const ahead = priorities.active.priority - ejected.priority;
  if (ahead !== 0) return ahead > 0;
  // Nor would it beside others that are nearer.
  const isNear = ({ eligible, locality }: Endpoint): boolean => eligible && locality === ejected.locality;
  if (priorities.locality !== undefined && !active.some(isNear)) return false;
  const mayTake = (endpoint: Endpoint): boolean => endpoint === ejected || takesCalls(endpoint);
  return ownerOf(call, groupWithModel(call), mayTake) === ejected;
}

function takesCalls({ eligible, weight }: Endpoint): boolean {
  return eligible && weight > 0;
}
