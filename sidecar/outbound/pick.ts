import type { Endpoint } from '../cluster/endpoint.js';
import { hasUntried, pick, pickAgain } from '../cluster/picking.js';
import type { OutboundCall } from './call.js';
import { countMiss, groupFor } from './called-model/called-model.js';
import { otherModels } from './engine-models.js';
import { avoidedBy } from './pauses.js';

const NONE: readonly Endpoint[] = [];

/**
 * The endpoint for the next attempt of a call: one it has not tried, where there is any; undefined: there is none. Of a model
 * that only some endpoints have, one of these; where none of them can take the call, any may: what they say may be out of date.
 */
export function pickEndpoint(call: OutboundCall, nowMs: number): Endpoint | undefined {
  const { cluster, kind } = call;
  const tried = avoidedBy(call, nowMs);
  const key = call.routeDecision?.key;
  const prompt = call.engineCall?.prompt ?? undefined;
  if (cluster.claims !== null) {
    const group = groupFor(call);
    const having = group?.pick(tried, nowMs, key, kind, prompt);
    if (having !== undefined) return having;
    countMiss(call, group);
  }
  const others = call.attemptsHere === 0 ? NONE : otherModels(call);
  if (others.length > 0) return pickSameModel(call, tried, others, nowMs);
  const endpoint = pickBeside(call, tried, nowMs);
  if (endpoint === undefined || call.engineCall === null || !isHanging(endpoint, nowMs)) return endpoint;
  const hanging = cluster.endpoints.filter((each) => isHanging(each, nowMs));
  const well = pickBeside(call, [...tried, ...hanging], nowMs);
  return well === undefined || tried.includes(well) ? endpoint : well;
}

/** It is a language-model engine that sends nothing to anybody, and one call tries it at a time. */
function isHanging({ engineSilence }: Endpoint, nowMs: number): boolean {
  return engineSilence !== null && engineSilence.isToBeLeft(nowMs);
}

/** @param left endpoints that are picked only where all others are among them. */
function pickBeside(call: OutboundCall, left: readonly Endpoint[], nowMs: number): Endpoint | undefined {
  const { cluster, kind, routeDecision, engineCall } = call;
  const prompt = engineCall?.prompt ?? undefined;
  if (call.attemptsHere === 0) return pick(cluster, left, nowMs, routeDecision?.key, kind, prompt);
  return pickAgain(cluster, left, nowMs, routeDecision?.key, kind, prompt);
}

/** One that the call has not tried, else one that it has; none of those that are known to run another model. */
function pickSameModel(
  call: OutboundCall,
  tried: readonly Endpoint[],
  others: readonly Endpoint[],
  nowMs: number,
): Endpoint | undefined {
  for (const left of [[...tried, ...others], others]) {
    const endpoint = pickBeside(call, left, nowMs);
    if (endpoint !== undefined && !others.includes(endpoint)) return endpoint;
  }
  return undefined;
}

/** The endpoint for a hedge; undefined: there is none. An endpoint without the model would only cost work. */
export function pickForHedge(
  call: OutboundCall,
  tried: readonly Endpoint[],
  nowMs: number,
): Endpoint | undefined {
  const group = call.cluster.claims === null ? undefined : groupFor(call);
  const key = call.routeDecision?.key;
  const prompt = call.engineCall?.prompt ?? undefined;
  if (group !== undefined) return group.pick(tried, nowMs, key, call.kind, prompt);
  return pickAgain(call.cluster, tried, nowMs, key, call.kind, prompt);
}

/** Whether there is such an endpoint. */
export function canHedge(call: OutboundCall, tried: readonly Endpoint[]): boolean {
  if (call.cluster.isRetired) return false;
  const group = call.cluster.claims === null ? undefined : groupFor(call);
  return group === undefined ? hasUntried(call.cluster, tried) : group.hasUntried(tried);
}
