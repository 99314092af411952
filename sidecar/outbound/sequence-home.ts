/**
 * Where the state of a sequence is: with `hash_on.parameter`, at the endpoint of its key on the ring. Its calls are not taken away from there for a
 * probe or a hedge, nor because that endpoint is full or replaces its connection.
 */
import { spillAbove } from '../cluster/balancer-for.js';
import type { Endpoint } from '../cluster/endpoint.js';
import { ReturnShare } from '../cluster/priority-level.js';
import type { ModelGroup } from '../cluster/served-models/model-claims.js';
import { AttemptEnd, isNeverProcessed } from '../core/outcome/outcome.js';
import { Status } from '../core/outcome/status.js';
import { EjectionState } from '../core/outlier/ejection.js';
import type { OutboundAttempt, OutboundCall } from './call.js';
import { groupFor } from './called-model/called-model.js';
import { startsSequence } from './parameter-key.js';

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
  const share = call.cluster.priorities.shareOnReturn(ejected);
  if (share !== ReturnShare.some) return share === ReturnShare.all;
  const mayTake = (endpoint: Endpoint): boolean => endpoint === ejected || takesCalls(endpoint);
  return ownerOf(call, groupWithModel(call), mayTake) === ejected;
}

function takesCalls({ eligible, weight }: Endpoint): boolean {
  return eligible && weight > 0;
}

/** Whether the call belongs to a sequence that stays where its state is. With `spill_above` it may leave. */
export function isBound({ routeDecision, cluster }: OutboundCall): boolean {
  return routeDecision?.isBound === true && spillAbove(cluster.config.balance) === undefined;
}

/** The endpoint that has the state of its sequence, as far as can be told; undefined: the call belongs to none, or there is no endpoint. */
function homeOf(call: OutboundCall): Endpoint | undefined {
  return isBound(call)
    ? ownerOf(call, groupWithModel(call), (endpoint) => keepsState(endpoint, call))
    : undefined;
}

/** It takes calls; or would again, of this priority and zone, once it has replaced its last connection, as its peer asked for. */
function keepsState(endpoint: Endpoint, { cluster }: OutboundCall): boolean {
  if (endpoint.eligible) return endpoint.weight > 0;
  const { weight, pool, ejection, unhealthy } = endpoint;
  const isAdmitted = ejection.state === EjectionState.admitted && !ejection.isHeld && unhealthy === '';
  if (weight <= 0 || !pool.isRenewing || !isAdmitted) return false;
  return cluster.priorities.shareOnReturn(endpoint) !== ReturnShare.none;
}

/** The endpoint of its sequence, which gets no other calls until its new connection is there; undefined: the choice is the balancer's. */
export function renewingHome(call: OutboundCall): Endpoint | undefined {
  const home = homeOf(call);
  return home === undefined || home.eligible || call.tried.includes(home) ? undefined : home;
}

/**
 * Whether a call whose attempt has ended goes nowhere but to that endpoint again: it has done nothing for the call, and still has the state of
 * its sequence.
 */
export function staysAtHome(call: OutboundCall, attempt: OutboundAttempt): boolean {
  return isBound(call) && isHarmless(call, attempt) && homeOf(call) === attempt.endpoint;
}

/**
 * The endpoint has not begun, and is no worse than before: it or its model is full, the caller is over its rate there, or it has let go of a
 * connection. UNAVAILABLE says that its model is not there.
 */
function isHarmless(call: OutboundCall, attempt: OutboundAttempt): boolean {
  if (isNeverProcessed(attempt.ended as AttemptEnd)) return true;
  if (isIncomplete(call, attempt)) return !startsSequence(call);
  return attempt.isRefused && attempt.status !== Status.UNAVAILABLE;
}

/**
 * Whether the endpoint cannot have all of the message of a unary call: bytes of it were never given to the socket of a connection that was
 * lost. A stream may begin before its first message is whole.
 */
export function isIncomplete(
  { plan, requestBytes }: OutboundCall,
  { ended, head, sentBytes }: OutboundAttempt,
): boolean {
  return (
    ended === AttemptEnd.connectionLost && head === null && plan.holdsResponse && sentBytes < requestBytes
  );
}
