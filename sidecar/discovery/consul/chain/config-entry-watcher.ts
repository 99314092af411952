import type { DiscoveryTarget } from '../../../config/model.js';
import type { Queries } from '../catalog/endpoint-watcher.js';
import type { Watch } from '../query/query-registry.js';
import { cachedIn, type ServiceDeps, smallQuery } from '../query/query-spec.js';
import type { ChainPlace } from './chain-json.js';
import { type ChainPlan, planOf } from './chain-plan.js';
import { watchEntry } from './config-entry.js';
import { limitsOf, type UpstreamLimits } from './service-defaults.js';

/** Called with each change; not called for what is not known yet. */
export interface RuleListener {
  plan(plan: ChainPlan): void;
  limits(limits: UpstreamLimits): void;
}

/** The config entries and the discovery chain that decide where calls to one service go, kept up. */
export class ConfigEntryWatcher {
  private readonly watches: Watch[];
  private isClosed = false;

  /** @param upstream its name in the catalogue, and the datacenter where its instances are. @param deps of the calling service: its `service-defaults` apply. */
  constructor(
    { service, datacenter }: Pick<DiscoveryTarget, 'service' | 'datacenter'>,
    private readonly queries: Queries,
    private readonly deps: ServiceDeps,
    listener: RuleListener,
  ) {
    const entry = { kind: 'service-defaults', name: deps.service } as const;
    this.watches = [
      watchEntry(queries, deps, entry, (text) => {
        if (!this.isClosed) listener.limits(limitsOf(text, service));
      }),
      this.chain(service, datacenter, (plan) => listener.plan(plan)),
    ];
  }

  /** Ends both queries; the listener is not called after it. */
  close(): void {
    this.isClosed = true;
    for (const watch of this.watches) watch.close();
  }

  /** The rules are those of the agent's datacenter, for the instances of the other one, as Consul does it for an upstream there. */
  private chain(service: string, datacenter: string | undefined, take: (plan: ChainPlan) => void): Watch {
    const path = `/discovery-chain/${encodeURIComponent(service)}`;
    const title = datacenter === undefined ? service : `${service}@${datacenter}`;
    const place = datacenter === undefined ? 'here' : 'elsewhere';
    const kept = (text: unknown) => cachedChain(text, place);
    const spec = smallQuery(path, `rules of ${title}`, {
      parse: (body) => chainOf(body.toString('utf8'), place),
      ...cachedIn(this.deps.cache, `chain ${title}`, kept, ({ text }) => text),
      ...(datacenter === undefined
        ? {}
        : { key: `${path}@${datacenter}`, query: { 'compile-dc': datacenter } }),
    });
    return this.queries.watch(spec, ({ plan }) => {
      if (!this.isClosed) take(plan);
    });
  }
}

interface ReadChain {
  readonly text: string;
  readonly plan: ChainPlan;
}

/** A chain with its text, which the cache keeps: a later version may read more from it. */
function chainOf(text: string, place: ChainPlace): ReadChain {
  return { text, plan: planOf(text, place) };
}

/** The chain of an earlier run; undefined when there is none that makes sense. */
function cachedChain(text: unknown, place: ChainPlace): ReadChain | undefined {
  if (typeof text !== 'string') return undefined;
  try {
    return chainOf(text, place);
  } catch {
    return undefined;
  }
}
