import { type Balancer, canPick, type EndpointLoad, NONE_TRIED, type Tried } from './balancer.js';

/** Smooth weighted round-robin (nginx): over a full round each endpoint gets exactly its share of calls, spread evenly. O(n) a pick. */
export class RoundRobin implements Balancer {
  pick<E extends EndpointLoad>(endpoints: readonly E[], tried: Tried, nowMs: number): E | undefined {
    let total = 0;
    let best: E | undefined;
    for (let i = 0; i < endpoints.length; i += 1) {
      const endpoint = endpoints[i]!;
      if (!canPick(endpoint, tried)) continue;
      endpoint.credit += endpoint.share;
      total += endpoint.share;
      if (best === undefined || endpoint.credit > best.credit) best = endpoint;
    }
    if (best === undefined) return tried.length > 0 ? this.pick(endpoints, NONE_TRIED, nowMs) : undefined;
    best.credit -= total;
    return best;
  }
}
