/**
 * What a file says of decisions and perhaps does not mean: options that can have no effect, and bounds in each other's way.
 */

import { isLocalAddress, writeAddress } from '../codecs/address.js';
import { writeSize } from '../codecs/size.js';
import type { Path, Warning } from '../file/problem.js';
import type { MeshFile } from '../implied-caller.js';
import type { Address } from '../model.js';
import type { SidecarFile } from '../options/sidecar-file.js';
import { defaultKind, defaultTimeoutMs } from '../route-defaults.js';

type UpstreamFile = MeshFile['caller']['upstreams'][string];
type RouteFile = UpstreamFile['routes'][number];
type QueueFile = MeshFile['services'][string]['queue'];

/** What the file lets one know of an upstream. */
export interface UpstreamFacts {
  /** Undefined: only the registry knows. */
  readonly endpoints?: number;
  /** Calls that all its models together may hold; undefined: unknown. */
  readonly capacity?: number;
  readonly localities?: readonly (string | undefined)[];
  readonly memoryBudget: number;
}

/** A percentile below this makes more than one copy for every ten calls. */
const USUAL_PERCENTILE = 0.9;

/** Warnings about the policies of one upstream. `path` is that of the upstream. */
export function decisionWarnings(path: Path, upstream: UpstreamFile, known: UpstreamFacts): Warning[] {
  return [
    ...breakerWarnings(path, upstream, known),
    ...localityWarnings(path, upstream, known),
    ...upstream.routes.flatMap((route, i) => routeWarnings([...path, 'routes', i], route, known)),
  ];
}

/** Warnings about the queue before a model. `path` is that of the queue. */
export function queueWarnings(path: Path, queue: QueueFile): Warning[] {
  const concerns: Warning[] = [];
  if (queue.max_waiting === 0 && (queue.priority !== undefined || queue.fair)) {
    const option = queue.priority === undefined ? 'fair' : 'priority';
    const message = 'no call waits (max_waiting is 0), so that there is no order to decide';
    concerns.push({ path: [...path, option], message });
  }
  if (queue.adaptive !== undefined && queue.adaptive.min === queue.adaptive.max) {
    const message = `min and max are both ${queue.adaptive.min}: there is nothing to find`;
    concerns.push({ path: [...path, 'adaptive'], message });
  }
  return concerns;
}

/** `admin`: where drills are switched on; in a mesh, where the caller's are. */
export function drillWarnings(
  file: SidecarFile | MeshFile,
  admin: Address | undefined,
  isNeeded: boolean,
): Warning[] {
  if (!file.fault_injection) return [];
  const path = ['fault_injection'];
  if (admin === undefined)
    return isNeeded ? [{ path, message: 'there is no admin port, at which it would be switched on' }] : [];
  if (isLocalAddress(admin)) return [];
  return [{ path, message: `a client that reaches ${writeAddress(admin)} can delay and abort calls` }];
}

function breakerWarnings(path: Path, upstream: UpstreamFile, known: UpstreamFacts): Warning[] {
  const { breaker, pool } = upstream;
  if (breaker === undefined) return [];
  const concerns: Warning[] = [];
  const { max_in_flight: inFlight, max_connections: connections } = breaker;
  const wanted = (known.endpoints ?? 0) * pool.connections;
  if (connections !== 0 && connections < wanted) {
    const message = `${connections} connections are fewer than its endpoints are to have (${wanted}): some get no traffic`;
    concerns.push({ path: [...path, 'breaker', 'max_connections'], message });
  }
  if (inFlight !== 0 && known.capacity !== undefined && inFlight < known.capacity) {
    const message = `${inFlight} calls are fewer than its models take at once (${known.capacity}): they never have enough to do`;
    concerns.push({ path: [...path, 'breaker', 'max_in_flight'], message });
  }
  return concerns;
}

function localityWarnings(path: Path, { locality }: UpstreamFile, { localities }: UpstreamFacts): Warning[] {
  if (locality === undefined || localities === undefined || localities.includes(locality.own)) return [];
  const message = `no endpoint is at "${locality.own}", so that all of them are used alike`;
  return [{ path: [...path, 'locality', 'own'], message }];
}

function routeWarnings(path: Path, route: RouteFile, known: UpstreamFacts): Warning[] {
  return [
    ...outcomeWarnings([...path, 'outcomes', 'fault'], route),
    ...hedgeWarnings([...path, 'hedge'], route, known),
    ...fallbackWarnings([...path, 'fallback'], route, known),
    ...splitWarnings([...path, 'split'], route),
  ];
}

/** Statuses by which a service says that the caller sent nonsense. */
const OF_THE_INPUT: readonly string[] = ['invalid_argument', 'out_of_range'];

function outcomeWarnings(path: Path, { outcomes }: RouteFile): Warning[] {
  return (outcomes?.fault ?? []).flatMap((status, i) => {
    if (!OF_THE_INPUT.includes(status)) return [];
    const message = `${status} is up to what callers send: one that sends nonsense gets good endpoints ejected`;
    return [{ path: [...path, i], message }];
  });
}

function hedgeWarnings(path: Path, { hedge }: RouteFile, { endpoints }: UpstreamFacts): Warning[] {
  if (hedge === undefined) return [];
  const concerns: Warning[] = [];
  if (hedge.percentile < USUAL_PERCENTILE) {
    const message = `more than one call in ten would be sent twice, of which max_ratio (${hedge.max_ratio}) lets some happen; 0.95 is usual`;
    concerns.push({ path: [...path, 'percentile'], message });
  }
  if (endpoints === 1) {
    const message = 'there is only one endpoint, and a copy never goes to the same one';
    concerns.push({ path, message });
  }
  return concerns;
}

function fallbackWarnings(path: Path, route: RouteFile, { memoryBudget }: UpstreamFacts): Warning[] {
  const { fallback, attempt_timeout: attemptMs } = route;
  if (fallback === undefined) return [];
  const concerns: Warning[] = [];
  const timeoutMs = route.timeout ?? defaultTimeoutMs(route.kind ?? defaultKind(route.methods));
  if (timeoutMs === 0 && attemptMs === 0) {
    const message =
      'a route without timeout and attempt_timeout: a call that hangs never falls back, unless its caller gives up first';
    concerns.push({ path, message });
  } else if (attemptMs === 0) {
    const message =
      'a route without attempt_timeout: when a call hangs, all of its time is over before it could fall back';
    concerns.push({ path, message });
  }
  for (const [i, { max_bytes: bytes }] of fallback.entries()) {
    if (bytes === undefined || bytes <= memoryBudget) continue;
    const message = `${writeSize(bytes)} of answers kept are more than memory_budget (${writeSize(memoryBudget)}) allows for calls`;
    concerns.push({ path: [...path, i, 'max_bytes'], message });
  }
  return concerns;
}

function splitWarnings(path: Path, { split }: RouteFile): Warning[] {
  if (split?.sticky_by === undefined) return [];
  const choices = Object.values(split.weights ?? {}).filter((weight) => weight > 0);
  if (choices.length > 1) return [];
  const message = 'there is nothing to choose from by weight, so that it has no effect';
  return [{ path: [...path, 'sticky_by'], message }];
}
