import type { Queries } from '../catalog/endpoint-watcher.js';
import type { Watch } from '../query/query-registry.js';
import { cachedIn, type ServiceDeps, smallQuery } from '../query/query-spec.js';
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

  /** @param upstream its name in the catalogue. @param deps of the calling service: its `service-defaults` apply. */
  constructor(
    upstream: string,
    private readonly queries: Queries,
    private readonly deps: ServiceDeps,
    listener: RuleListener,
  ) {
    const entry = { kind: 'service-defaults', name: deps.service } as const;
    this.watches = [
      watchEntry(queries, deps, entry, (text) => {
        if (!this.isClosed) listener.limits(limitsOf(text, upstream));
      }),
      this.chain(upstream, (plan) => listener.plan(plan)),
    ];
  }

  /** Ends both queries; the listener is not called after it. */
  close(): void {
    this.isClosed = true;
    for (const watch of this.watches) watch.close();
  }

  private chain(service: string, take: (plan: ChainPlan) => void): Watch {
    const spec = smallQuery(`/discovery-chain/${encodeURIComponent(service)}`, `rules of ${service}`, {
      parse: (body) => chainOf(body.toString('utf8')),
      ...cachedIn(this.deps.cache, `chain ${service}`, cachedChain, ({ text }) => text),
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
function chainOf(text: string): ReadChain {
  return { text, plan: planOf(text) };
}

/** The chain of an earlier run; undefined when there is none that makes sense. */
function cachedChain(text: unknown): ReadChain | undefined {
  if (typeof text !== 'string') return undefined;
  try {
    return chainOf(text);
  } catch {
    return undefined;
  }
}
