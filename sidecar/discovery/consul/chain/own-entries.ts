import type { Queries } from '../catalog/endpoint-watcher.js';
import type { Watch } from '../query/query-registry.js';
import type { ServiceDeps } from '../query/query-spec.js';
import { watchEntry } from './config-entry.js';
import { refusedDefaults, refusedOfService } from './service-defaults.js';

/** What this is made with. */
export interface OwnEntriesDeps extends ServiceDeps {
  /** Sentences that are in the log already. */
  readonly logged: Set<string>;
}

/**
 * What the config entries about our own service and about all proxies ask of this sidecar and is not applied, whether it calls an upstream
 * or serves a model alone.
 */
export class OwnEntries {
  private readonly watches: readonly Watch[];
  private ofService: readonly string[] = [];
  private ofProxies: readonly string[] = [];

  constructor(
    queries: Queries,
    private readonly deps: OwnEntriesDeps,
  ) {
    this.watches = [
      watchEntry(queries, deps, { kind: 'service-defaults', name: deps.service }, (text) => {
        this.ofService = refusedOfService(text);
        this.log(this.ofService);
      }),
      watchEntry(queries, deps, { kind: 'proxy-defaults', name: 'global' }, (text) => {
        this.ofProxies = refusedDefaults(text);
        this.log(this.ofProxies);
      }),
    ];
  }

  /** Each one sentence that names the entry and the field. */
  unsupported(): readonly string[] {
    return [...this.ofService, ...this.ofProxies];
  }

  /** Ends both queries. */
  close(): void {
    for (const watch of this.watches) watch.close();
  }

  private log(sentences: readonly string[]): void {
    for (const rule of sentences) {
      if (this.deps.logged.has(rule)) continue;
      this.deps.logged.add(rule);
      this.deps.logger.warn({ rule }, 'a rule of Consul is not applied');
    }
  }
}
