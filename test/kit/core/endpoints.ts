/** Endpoints and shares of picks, for tests of balancers. */
import assert from 'node:assert/strict';
import { type Balancer, EndpointLoad } from '../../../sidecar/core/balancing/balancer.js';
import { mix } from '../../../sidecar/core/balancing/hash.js';

/** An endpoint as balancers see it; each field has the default of `EndpointLoad`. */
type EndpointSpec = Partial<Pick<EndpointLoad, 'weight' | 'eligible' | 'inFlight' | 'weightFactor'>> & {
  readonly latencyMs?: number | undefined;
};

let labels = 0;

/** An endpoint with a label of its own; with `latencyMs`, one success of that latency at 0 ms. */
export function endpoint({ latencyMs, ...fields }: EndpointSpec = {}): EndpointLoad {
  const load = Object.assign(new EndpointLoad(), fields, { label: `e${labels++}` });
  if (latencyMs !== undefined) load.latency.record(latencyMs, 0);
  return load;
}

/** Share of `picks` picks, with a different key each, that each endpoint gets at 0 ms; nothing is put in flight. */
export function shares(balancer: Balancer, endpoints: readonly EndpointLoad[], picks: number): number[] {
  const counts = endpoints.map(() => 0);
  for (let i = 0; i < picks; i += 1) {
    const picked = balancer.pick(endpoints, [], 0, mix(i))!;
    counts[endpoints.indexOf(picked)]! += 1;
  }
  return counts.map((count) => count / picks);
}

/** Fails unless `actual` is within `slack` of `expected`. */
export const about = (actual: number, expected: number, slack = 0.03): void =>
  assert.ok(Math.abs(actual - expected) < slack, `${actual}, not about ${expected}`);
