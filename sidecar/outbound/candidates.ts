/**
 * The endpoints that can take a call: those that have the model which it names, and for the rest of an engine's answer those that are not known to run
 * another one. Whatever asks where a call may go next asks here, so that all of it speaks of the same endpoints.
 */
import type { Endpoint } from '../cluster/endpoint.js';
import { hasUntried as hasUntriedIn, isRoomy } from '../cluster/picking.js';
import type { ModelGroup } from '../cluster/served-models/model-claims.js';
import { canPick } from '../core/balancing/balancer.js';
import type { OutboundCall } from './call.js';
import { groupFor } from './called-model/called-model.js';

const NONE: readonly Endpoint[] = [];

/**
 * Those that have the model which the call names, for as long as it has not tried all of them. Then any may take it, as what they say may be out of
 * date; but for one that asked for a pause the call waits. Undefined: any may.
 */
export function groupOf(call: OutboundCall): ModelGroup | undefined {
  if (call.cluster.claims === null) return undefined;
  const group = groupFor(call);
  if (group === undefined || group.hasUntried(call.tried as Endpoint[])) return group;
  const pauses = call.retry?.pauses ?? [];
  const awaited = pauses.some(({ endpoint }) => group.isCandidate(endpoint as Endpoint, NONE));
  return awaited ? group : undefined;
}

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

/** Each endpoint that there is runs another model: one of them; undefined: some may run the same. */
export function onlyOther(call: OutboundCall): Endpoint | undefined {
  const others = otherModels(call);
  return others.length > 0 && others.length === call.cluster.endpoints.length ? others[0] : undefined;
}

/** Those of them that calls go to now, tried or not. */
export function candidatesOf(call: OutboundCall): readonly Endpoint[] {
  const group = groupOf(call);
  if (group !== undefined) return group.endpoints.filter((each) => group.isCandidate(each, NONE));
  const others = otherModels(call);
  return call.cluster.active.filter((each) => canPick(each, others));
}

/** Whether the call can go to one that is not among `tried`: of those that calls go to, or as a failover. */
export function hasUntried(
  call: OutboundCall,
  tried: readonly Endpoint[] = call.tried as Endpoint[],
): boolean {
  const group = groupOf(call);
  return group === undefined ? hasUntriedIn(call.cluster, withOthers(call, tried)) : group.hasUntried(tried);
}

/** Whether one that the call has not tried reports that it has room for it. */
export function hasRoom(call: OutboundCall, nowMs: number): boolean {
  const tried = call.tried as Endpoint[];
  return candidatesOf(call).some((each) => canPick(each, tried) && isRoomy(each, nowMs));
}

/** Where calls can go to none of them now: one whose connection may come in time, if possible not one of `tried`. */
export function unconnected(call: OutboundCall, tried: readonly Endpoint[]): Endpoint | undefined {
  const { priorities } = call.cluster;
  const others = otherModels(call);
  for (const left of [withOthers(call, tried), others]) {
    const endpoint = priorities.unconnected(left);
    if (endpoint !== undefined && !others.includes(endpoint)) return endpoint;
  }
  return undefined;
}

/** To be left out, beside `tried`: those that run another model. */
export function withOthers(call: OutboundCall, tried: readonly Endpoint[]): readonly Endpoint[] {
  const others = otherModels(call);
  return others.length === 0 ? tried : [...tried, ...others];
}
