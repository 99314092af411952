import type { EndpointConfig, UpstreamConfig } from '../config/model.js';
import {
  type Discovery,
  type DiscoverySubscription,
  MAIN_CLUSTER,
  type Uncounted,
  type UpstreamSnapshot,
} from './snapshot.js';

/** Follows the endpoints of one upstream. */
export interface EndpointWatcher<Settings, Report> {
  update(settings: Settings): void;
  doubt(): void;
  hurry(): void;
  close(): void;
  /** What status, page and metrics show. */
  report(): Report;
  /** Absent: the endpoints are all replicas. */
  uncounted?(): Uncounted;
}

/** A source of endpoints, such as DNS, with a watcher for each upstream whose configuration names it. */
export abstract class WatchedSource<Settings, Report extends { readonly problem?: string }>
  implements Discovery
{
  private readonly watchers = new Map<string, EndpointWatcher<Settings, Report>>();

  /** Of an upstream that does not name the source nothing is followed. */
  watchUpstream(
    config: UpstreamConfig,
    onSnapshot: (snapshot: UpstreamSnapshot) => void,
  ): DiscoverySubscription {
    const { name } = config;
    const settings = this.settingsOf(config);
    if (settings === undefined) return { update: () => {}, doubt: () => {}, close: () => {} };
    const watcher = this.watch(name, settings, (endpoints) => onSnapshot(snapshotOf(endpoints)));
    this.watchers.set(name, watcher);
    return {
      update: (next) => {
        const changed = this.settingsOf(next);
        if (changed !== undefined) watcher.update(changed);
      },
      doubt: () => watcher.doubt(),
      hurry: () => watcher.hurry(),
      uncounted: () => watcher.uncounted?.() ?? ALL_COUNTED,
      close: () => {
        watcher.close();
        if (this.watchers.get(name) === watcher) this.watchers.delete(name);
      },
    };
  }

  /** Why there are no endpoints of this upstream, or perhaps old ones; undefined: nothing is wrong. */
  problemOf(upstream: string): string | undefined {
    return this.watchers.get(upstream)?.report().problem;
  }

  /** One for each upstream that names the source. */
  reports(): readonly Report[] {
    return [...this.watchers.values()].map((watcher) => watcher.report());
  }

  /** What an upstream says of the source; undefined: it does not name it. */
  protected abstract settingsOf(config: UpstreamConfig): Settings | undefined;

  /** Begins to follow. @param onEndpoints called with every change, never within this call. */
  protected abstract watch(
    upstream: string,
    settings: Settings,
    onEndpoints: (endpoints: readonly EndpointConfig[]) => void,
  ): EndpointWatcher<Settings, Report>;
}

const ALL_COUNTED: Uncounted = { why: undefined, replicas: 0 };

/** Such a source knows no traffic rules: one cluster, to which every call goes. */
function snapshotOf(endpoints: readonly EndpointConfig[]): UpstreamSnapshot {
  return {
    routes: [{ split: [{ weight: 1, cluster: MAIN_CLUSTER }] }],
    clusters: new Map([[MAIN_CLUSTER, { endpoints }]]),
  };
}
