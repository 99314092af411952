import { messageOf } from '../../../runtime/log/message-of.js';
import type { Queries } from '../catalog/endpoint-watcher.js';
import type { Watch } from '../query/query-registry.js';
import { cachedIn, type QuerySpec, type ServiceDeps, smallQuery } from '../query/query-spec.js';
import { type ChainPlan, planOf } from './chain-plan.js';
import { limitsOf, refusedDefaults, type UpstreamLimits } from './service-defaults.js';

/** Called with each change; not called for what is not known yet. */
export interface RuleListener {
  plan(plan: ChainPlan): void;
  limits(limits: UpstreamLimits): void;
  /** What of `proxy-defaults` is not applied, in sentences. */
  refused(sentences: readonly string[]): void;
}

/** The config entries and the discovery chain that decide where calls to one service go, kept up. */
export class ConfigEntryWatcher {
  private readonly watches: Watch[] = [];
  private isClosed = false;

  /** @param upstream its name in the catalogue. @param deps of the calling service: its `service-defaults` apply. */
  constructor(
    upstream: string,
    private readonly queries: Queries,
    private readonly deps: ServiceDeps,
    listener: RuleListener,
  ) {
    this.entry('service-defaults', deps.service, (text) => listener.limits(limitsOf(text, upstream)));
    this.entry('proxy-defaults', 'global', (text) => listener.refused(refusedDefaults(text)));
    this.chain(upstream, (plan) => listener.plan(plan));
  }

  /** Ends the three queries; the listener is not called after it. */
  close(): void {
    this.isClosed = true;
    for (const watch of this.watches) watch.close();
  }

  private chain(service: string, take: (plan: ChainPlan) => void): void {
    const spec = smallQuery(`/discovery-chain/${encodeURIComponent(service)}`, `rules of ${service}`, {
      parse: (body) => chainOf(body.toString('utf8')),
      ...cachedIn(this.deps.cache, `chain ${service}`, cachedChain, ({ text }) => text),
    });
    this.follow(spec, ({ plan }) => take(plan));
  }

  /** A config entry, which may not be there: then its text is empty. */
  private entry(kind: string, name: string, take: (text: string) => void): void {
    const path = `/config/${kind}/${encodeURIComponent(name)}`;
    const spec = smallQuery(path, `${kind} of ${name}`, {
      parse: (body) => body.toString('utf8'),
      absent: () => '',
    });
    this.follow(spec, (text) => {
      try {
        take(text);
      } catch (error) {
        // The entry before stays in force.
        const fields = { entry: `${kind} ${name}`, problem: messageOf(error) };
        this.deps.logger.warn(fields, 'an entry of Consul makes no sense');
      }
    });
  }

  private follow<T>(spec: QuerySpec<T>, take: (value: T) => void): void {
    const watch = this.queries.watch(spec, (value) => {
      if (!this.isClosed) take(value);
    });
    this.watches.push(watch);
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
