import type { Endpoint } from '../cluster/endpoint.js';
import { hasUntried } from '../cluster/picking.js';
import type { OutboundCall } from './call.js';

const NONE: readonly Endpoint[] = [];

/**
 * Endpoints whose engines run another model than the one that began the answer, as they said last: none of them is asked for the rest, which
 * would cost it the reading of the whole prompt. Of one that is not known, its answer says it.
 */
export function otherModels({ resumable, cluster }: OutboundCall): readonly Endpoint[] {
  if (resumable === null || resumable.model === null) return NONE;
  const { model } = resumable;
  const others = cluster.endpoints.filter(({ engineModel }) => engineModel !== null && engineModel !== model);
  return others.length === 0 ? NONE : others;
}

/** Whether the call can go to an endpoint that it has not tried. @param more endpoints that count as tried, too */
export function hasOtherEndpoint(call: OutboundCall, more: readonly Endpoint[] = NONE): boolean {
  const tried = call.tried as Endpoint[];
  const others = otherModels(call);
  if (more.length === 0 && others.length === 0) return hasUntried(call.cluster, tried);
  return hasUntried(call.cluster, [...tried, ...more, ...others]);
}

/** Each endpoint that there is runs another model: one of them; undefined: some may run the same. */
export function onlyOther(call: OutboundCall): Endpoint | undefined {
  const others = otherModels(call);
  return others.length > 0 && others.length === call.cluster.endpoints.length ? others[0] : undefined;
}
