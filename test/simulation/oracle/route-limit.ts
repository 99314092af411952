/** Limits of time of a route, by the file of its sidecar. */
import type { CallPlan } from '../plan/plan.js';

type LimitOfRoute = 'timeout' | 'attempt_timeout' | 'idle_timeout';

interface RoutesOfFile {
  readonly outbound: {
    readonly upstreams: Readonly<
      Record<
        string,
        {
          readonly routes: readonly ({ readonly methods: readonly string[] } & Partial<
            Readonly<Record<LimitOfRoute, string>>
          >)[];
        }
      >
    >;
  };
}

/** A limit of its route by the file, ms; 0: none. */
export function limitMs(file: object, { upstream, path }: CallPlan, name: LimitOfRoute): number {
  const routes = (file as RoutesOfFile).outbound.upstreams[upstream]?.routes ?? [];
  const limit = routes.find(({ methods }) => methods.includes(path) || methods.includes('*'))?.[name] ?? '';
  const [, amount = '0', unit = ''] = /^(\d+)(ms|s)$/.exec(limit) ?? [];
  return Number(amount) * (unit === 's' ? 1_000 : 1);
}
