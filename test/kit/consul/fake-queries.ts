/** Blocking queries without an agent: a test says what Consul answers, and when. */

import type { Queries } from '../../../sidecar/discovery/consul/catalog/endpoint-watcher.js';
import type { Watch } from '../../../sidecar/discovery/consul/query/query-registry.js';
import type { QuerySpec, QueryStatus, Source } from '../../../sidecar/discovery/consul/query/query-spec.js';
import { getOrInsert } from '../../../sidecar/runtime/get-or-insert.js';

interface Open {
  readonly spec: QuerySpec<unknown>;
  readonly listeners: Set<(value: unknown, from: Source) => void>;
  latest?: { readonly value: unknown; readonly from: Source };
}

export class FakeQueries implements Queries {
  readonly open = new Map<string, Open>();
  readonly rereads: string[] = [];
  /** How each query stands. */
  standing: Partial<QueryStatus> = { ageMs: 0 };

  watch<T>(spec: QuerySpec<T>, onValue: (value: T, from: Source) => void): Watch {
    const make = (): Open => ({ spec: spec as QuerySpec<unknown>, listeners: new Set() });
    const { listeners, latest } = getOrInsert(this.open, spec.key, make);
    const listener = onValue as (value: unknown, from: Source) => void;
    listeners.add(listener);
    if (latest !== undefined) listener(latest.value, latest.from);
    return {
      status: () => this.standing as QueryStatus,
      reread: (why) => void this.rereads.push(why),
      close: () => {
        listeners.delete(listener);
        if (listeners.size === 0) this.open.delete(spec.key);
      },
    };
  }

  get only(): QuerySpec<unknown> {
    const [query, ...others] = this.open.values();
    if (query === undefined || others.length > 0) throw new Error(`there are ${this.open.size} queries`);
    return query.spec;
  }

  /** Consul answers the only query. Throws what the parser throws. */
  async answer(body: Buffer): Promise<void> {
    this.hand(await this.only.parse(body), 'agent');
  }

  /** Consul is away, and what was kept is used. */
  useCache(): void {
    const value = this.only.cache?.load();
    if (value !== undefined) this.hand(value, 'cache');
  }

  private hand(value: unknown, from: Source): void {
    for (const query of this.open.values()) {
      query.latest = { value, from };
      for (const listener of [...query.listeners]) listener(value, from);
      if (from === 'agent') query.spec.cache?.save(value);
    }
  }
}
