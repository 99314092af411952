/** After a reload calls go by the rules of the new file. */
import type { World } from '../world/world.js';
import { filesOf } from './endpoints.js';
import { replicasOf } from './evidence.js';

/** A reload is in force after this, ms. */
const BOUND_MS = 200;

interface Route {
  readonly methods: readonly string[];
  readonly mirror?: object;
  readonly split?: object;
  readonly fallback?: readonly { readonly kind: string }[];
}

interface Routes {
  readonly routes?: readonly Route[];
}

/** No copy, no share of calls and no fallback goes to another service where the file in force has none. */
export function judgeRules(world: World): void {
  const { plan } = world;
  if (plan.faults.some(({ kind }) => kind === 'freeze-caller')) return;
  for (const [index, caller] of plan.callers.entries())
    for (const { fromMs, toMs, file } of filesOf(plan, caller)) {
      for (const { plan: call, executions } of world.records) {
        if (call.caller !== index || call.atMs < fromMs + BOUND_MS || call.atMs >= toMs) continue;
        const { routes = [] } = file.outbound.upstreams[call.upstream] as unknown as Routes;
        if (routes.filter((each) => isOf(each, call.path)).some(leadsElsewhere)) continue;
        const own = replicasOf(plan, call.upstream);
        const byMs = world.originMs + toMs;
        const other = executions.find(({ replica, startMs }) => startMs < byMs && !own.includes(replica));
        if (other !== undefined)
          world.find(
            'registry',
            `call ${call.id} ${call.path} went to ${other.replica}, and no rule in force says so`,
            [call.id],
          );
      }
    }
}

function isOf({ methods }: Route, path: string): boolean {
  return methods.includes(path) || methods.includes('*');
}

function leadsElsewhere({ mirror, split, fallback = [] }: Route): boolean {
  return mirror !== undefined || split !== undefined || fallback.some(({ kind }) => kind === 'upstream');
}
