import type { Endpoint } from '../cluster/endpoint.js';
import { hasUntried, pick, pickAgain } from '../cluster/picking.js';
import type { ModelGroup } from '../cluster/served-models/model-claims.js';
import type { OutboundCall } from './call.js';
import { countMiss, groupFor } from './called-model/called-model.js';
import { groupOf, otherModels, unconnected } from './candidates.js';
import { avoidedBy } from './pauses.js';
import { isBound, renewingHome } from './sequence-home.js';

const NONE: readonly Endpoint[] = [];

/**
 * The endpoint for the next attempt of a call: one it has not tried, where there is any; undefined: there is none. Of a model
 * that only some endpoints have, one of these; where none of them can take the call, any may: what they say may be out of date.
 */
export function pickEndpoint(call: OutboundCall, nowMs: number): Endpoint | undefined {
  const home = renewingHome(call);
  if (home !== undefined) return home;
  const avoided = avoidedBy(call, nowMs);
  if (call.cluster.claims !== null) {
    const group = groupOf(call);
    const having =
      group === undefined
        ? undefined
        : (pickOf(call, group, avoided, nowMs) ?? pickOf(call, group, NONE, nowMs));
    if (having !== undefined) return having;
    countMiss(call, groupFor(call));
  }
  return call.engineCall === null ? pickBeside(call, avoided, nowMs) : pickEngine(call, avoided, nowMs);
}

/**
 * One of language-model engines: none that is known to run another model, and if possible none that hangs. One that the call has not tried is
 * preferred all the same: its hang may be over.
 */
function pickEngine(call: OutboundCall, avoided: readonly Endpoint[], nowMs: number): Endpoint | undefined {
  const others = otherModels(call);
  if (others.length === 0) {
    const endpoint = pickBeside(call, avoided, nowMs);
    if (endpoint === undefined || !isHanging(endpoint, nowMs)) return endpoint;
  }
  const hanging = call.cluster.endpoints.filter((each) => isHanging(each, nowMs));
  for (const some of [[...avoided, ...hanging], avoided, hanging, NONE]) {
    const left = [...some, ...others];
    const endpoint = pickBeside(call, left, nowMs);
    if (endpoint !== undefined && !left.includes(endpoint)) return endpoint;
  }
  return unconnected(call, avoided);
}

/** It is a language-model engine that sends nothing to anybody, and one call tries it at a time. */
function isHanging({ engineSilence }: Endpoint, nowMs: number): boolean {
  return engineSilence?.isToBeLeft(nowMs) ?? false;
}

/** @param left endpoints that are picked only where all others are among them. */
function pickBeside(call: OutboundCall, left: readonly Endpoint[], nowMs: number): Endpoint | undefined {
  const { cluster, kind, routeDecision, engineCall } = call;
  const prompt = engineCall?.prompt ?? undefined;
  if (call.attemptsHere === 0) return pick(cluster, left, nowMs, routeDecision?.key, kind, prompt);
  return pickAgain(cluster, left, nowMs, routeDecision?.key, kind, prompt);
}

function pickOf(
  { kind, routeDecision, engineCall }: OutboundCall,
  group: ModelGroup,
  left: readonly Endpoint[],
  nowMs: number,
): Endpoint | undefined {
  return group.pick(left, nowMs, routeDecision?.key, kind, engineCall?.prompt ?? undefined);
}

/**
 * The endpoint for a hedge; undefined: there is none, or the call belongs to a sequence, which others know nothing of. An endpoint without the model would only cost work, and so would an engine that is known to
 * hang: whether it still does is for a call to try that waits for it.
 */
export function pickForHedge(
  call: OutboundCall,
  tried: readonly Endpoint[],
  nowMs: number,
): Endpoint | undefined {
  const { cluster } = call;
  if (cluster.isRetired || isBound(call)) return undefined;
  const left = call.engineCall === null ? tried : [...tried, ...cluster.endpoints.filter(isSuspect)];
  const group = cluster.claims === null ? undefined : groupFor(call);
  if (group !== undefined) return group.hasUntried(left) ? pickOf(call, group, left, nowMs) : undefined;
  return hasUntried(cluster, left) ? pickBeside(call, left, nowMs) : undefined;
}

function isSuspect({ engineSilence }: Endpoint): boolean {
  return engineSilence?.isSuspect === true;
}
