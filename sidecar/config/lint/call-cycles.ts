/** Services of a mesh file that call each other in a circle. */
import type { Report } from '../options/option.js';
import { routeFrom } from '../way.js';

/** The services of a file, with the upstreams of those that have any. */
type Services = Readonly<
  Record<string, { readonly upstreams?: Readonly<Record<string, unknown>> | undefined }>
>;

/**
 * Warns of each upstream that closes a cycle of calls. That is allowed, for the models may end it; a request that goes
 * round holds a place in the queue of each service on its way. Paths are reported below `services`.
 */
export function warnOfCallCycles(services: Services, warn: Report): void {
  const calls = new Map<string, string[]>();
  for (const [from, { upstreams = {} }] of Object.entries(services)) {
    for (const to of Object.keys(upstreams)) {
      const back = routeFrom(to, from, (name) => calls.get(name) ?? []);
      calls.set(from, [...(calls.get(from) ?? []), to]);
      if (back === undefined) continue;
      warn(
        [from, 'upstreams', to],
        `closes a cycle of calls: ${[from, ...back].join(' → ')}; a request that goes round it ends by its deadline only, and holds a place at each service meanwhile`,
      );
    }
  }
}
