import { writeAddress } from '../../config/codecs/address.js';
import type { Address, EndpointConfig, KubernetesConfig } from '../../config/model.js';
import {
  type EndpointCondition,
  type EndpointSlice,
  mergeSlices,
  type ServiceEndpoint,
  type SliceEndpoint,
} from '../../core/discovery/endpoint-slices.js';
import { apply, type Listed, type Registry, reevaluate } from '../../core/discovery/eviction-guard.js';
import {
  isLongWatch,
  isShortWatch,
  retryAfterMs,
  retryDelayMs,
  SILENT_WATCH_MS,
  watchSeconds,
} from '../../core/discovery/list-watch.js';
import { readEvent, type WatchEvent } from '../../core/discovery/watch-event.js';
import type { RuntimeDeps } from '../../runtime/deps.js';
import type { Logger } from '../../runtime/log/logger.js';
import { messageOf } from '../../runtime/log/message-of.js';
import type { Timer } from '../../runtime/time/timers.js';
import type { KubernetesReport } from '../../telemetry/reports.js';
import { ownEndpoints } from '../endpoint-subset.js';
import { CRITICAL_PRIORITY, isReplica, type Uncounted } from '../snapshot.js';
import { AbsenceCheck } from './absence-check.js';
import type { ApiRequest, KubernetesApi } from './api-client.js';
import { type Reply, readLines } from './api-reads.js';
import { listSlices, MAX_SLICES, placeOf, refusal, slicesPath, TOO_MANY_SLICES } from './slice-list.js';

/** What the watcher of a Service is made with. */
export interface ServiceDeps extends RuntimeDeps {
  readonly logger: Logger;
  readonly api: KubernetesApi;
  /** Whether calls or connections to it show that it is served. */
  isAnswering(address: Address): boolean;
}

/** Of more endpoints the sidecar takes its own part; `pool.max_endpoints` then says how many get connections. */
export const MAX_ENDPOINTS = 1_000;
/** etcd takes objects of 1.5 MiB. */
const MAX_LINE_BYTES = 4 * 1024 * 1024;
/** When most endpoints vanish at once, those that still answer calls are kept this long, ms: as with Consul by default. */
export const GRACE_MS = 60_000;
const REEVALUATE_MS = 1_000;
/** Between two lists that are asked for because connections contradict what is known, ms. */
const DOUBT_MS = 10_000;
/** Between two tries, when a lost connection asks for one before its time, ms. */
const HURRY_MS = 1_000;
const OK = 200;
const GONE = 410;

const WHY_CRITICAL: Readonly<Record<Exclude<EndpointCondition, 'ready'>, string>> = {
  unready: 'its pod is not ready',
  draining: 'its pod ends',
  ended: 'its pod ends',
};

/** An endpoint as the guard against sudden losses sees it. */
interface ListedEndpoint extends Listed {
  readonly condition: EndpointCondition;
  readonly endpoint: EndpointConfig;
}

/**
 * Follows the endpoints of one Service: a list of its EndpointSlices, then a watch from there on, again and again. Whatever fails,
 * what is known stays in use, and the watch goes on from where it was; only what the API has forgotten is listed anew. An endpoint
 * whose pod ends gets calls only while no other can: its priority is that of critical ones, as are those that are not ready. Endpoints
 * that vanish without that are gone at once, except when most go together (core/discovery/eviction-guard.ts).
 */
export class ServiceWatcher {
  private slices = new Map<string, EndpointSlice>();
  /** Where the next watch begins; empty: a list comes first. */
  private revision = '';
  private request: ApiRequest | undefined;
  private next: Timer | undefined;
  private reevaluation: Timer | undefined;
  private registry: Registry<ListedEndpoint> | undefined;
  private published: readonly ListedEndpoint[] | undefined;
  private readonly absence: AbsenceCheck;
  /** Why the API cannot be followed. */
  private failure: string | undefined;
  /** What is wrong with what it says. */
  private finding: string | undefined;
  /** Why the last list was not taken whole. */
  private leftOut: string | undefined;
  /** Endpoints that it lists at no port or address that is asked for. */
  private unselected: readonly SliceEndpoint[] = [];
  /** Endpoints beyond `MAX_ENDPOINTS` of pods that do not end. */
  private beyond = 0;
  /** None of those that are listed is. */
  private isNoneSelected = false;
  private logged: string | undefined;
  private failuresInARow = 0;
  /** The revision was too old, and no watch has told anything since. */
  private isRelisted = false;
  private provenMs: number | undefined;
  private startedMs = Number.NEGATIVE_INFINITY;
  /** When the API has last told something: a list, or a line of a watch. */
  private toldMs = Number.NEGATIVE_INFINITY;
  private listAskedMs = Number.NEGATIVE_INFINITY;
  /** Until then nothing is asked, whatever connections say: the API asks for it, or has refused something. */
  private notBeforeMs = Number.NEGATIVE_INFINITY;
  private counts = { lists: 0, watches: 0, failures: 0 };
  private isClosed = false;
  private readonly seed: number;

  /** Lists at once. @param onEndpoints called with every change, never within this call. */
  constructor(
    private readonly upstream: string,
    private config: KubernetesConfig,
    private readonly deps: ServiceDeps,
    private readonly onEndpoints: (endpoints: readonly EndpointConfig[]) => void,
  ) {
    this.seed = Math.floor(deps.random() * 0x1_0000_0000);
    this.absence = new AbsenceCheck(deps, () => this.say());
    this.begin();
  }

  /** Another Service, port or server. The endpoints of the one before serve until there is a list. */
  update(config: KubernetesConfig): void {
    if (this.isClosed || JSON.stringify(config) === JSON.stringify(this.config)) return;
    this.config = config;
    this.revision = '';
    this.registry = undefined;
    this.provenMs = undefined;
    this.failure = undefined;
    this.finding = undefined;
    this.failuresInARow = 0;
    this.notBeforeMs = Number.NEGATIVE_INFINITY;
    this.reevaluation?.cancel();
    this.absence.end();
    this.begin();
  }

  /** Connections contradict what is known: slices are listed anew, at most every ten seconds. */
  doubt(): void {
    const nowMs = this.deps.clock.now();
    if (this.isClosed || nowMs - this.listAskedMs < DOUBT_MS) return;
    const isListing = this.revision === '' && this.request !== undefined;
    this.revision = '';
    if (!isListing && nowMs >= this.notBeforeMs) this.begin();
  }

  /** An endpoint has lost its connections. The API tells of it by itself, unless it cannot be followed: then it is tried again at once. */
  hurry(): void {
    if (this.isClosed || this.request !== undefined) return;
    if (this.deps.clock.now() >= Math.max(this.startedMs + HURRY_MS, this.notBeforeMs)) this.begin();
  }

  close(): void {
    this.isClosed = true;
    this.stopRequest();
    this.reevaluation?.cancel();
    this.absence.end();
  }

  /** What status, page and metrics show. */
  report(): KubernetesReport {
    const { upstream, registry, provenMs, counts } = this;
    const members = registry?.members ?? [];
    const isOf = (...kinds: EndpointCondition[]) =>
      (registry?.answer ?? []).filter(({ condition }) => kinds.includes(condition)).length;
    const kept = registry?.guard?.retained.size ?? 0;
    const problem = this.problem;
    return {
      upstream,
      service: this.title,
      state: this.state(kept),
      endpoints: members.filter(({ status }) => status === 'passing').length,
      unready: isOf('unready'),
      terminating: isOf('draining', 'ended'),
      kept,
      ...(provenMs === undefined ? {} : { ageMs: Math.round(this.deps.clock.now() - provenMs) }),
      ...(problem === undefined ? {} : { problem }),
      ...counts,
    };
  }

  /** What the endpoints do not say of how many pods there are. */
  uncounted(): Uncounted {
    const named = new Set(this.published?.map(({ endpoint }) => endpoint.id));
    // Those that are kept for now are among the endpoints.
    const unselected = this.unselected.filter(({ pod }) => !named.has(pod)).length;
    return { why: this.whyUncounted(named.size > 0), replicas: unselected + this.beyond };
  }

  private whyUncounted(hasEndpoints: boolean): string | undefined {
    if (this.registry === undefined) return this.failure ?? 'its EndpointSlices are not listed yet';
    if (this.isNoneSelected) return this.finding;
    if (hasEndpoints) return undefined;
    // Kubernetes keeps an empty slice of each Service with a selector. So where there is none, no Service is there, or not this one.
    const absence = this.slices.size === 0 ? (this.absence.found ?? 'found no EndpointSlice') : undefined;
    return this.failure ?? this.leftOut ?? absence;
  }

  private get problem(): string | undefined {
    return this.failure ?? this.absence.found ?? this.finding;
  }

  private get title(): string {
    const { service, port } = this.config;
    return port === undefined ? service : `${service}:${port}`;
  }

  private state(kept: number): KubernetesReport['state'] {
    if (this.failure !== undefined) return 'failing';
    if (kept > 0) return 'held';
    if (this.registry === undefined) return 'waiting';
    return this.registry.usable === 0 ? 'empty' : 'current';
  }

  // ---- requests ----

  /** Lists, or watches where a list is known, now. */
  private begin(): void {
    this.stopRequest();
    this.startedMs = this.deps.clock.now();
    try {
      if (this.revision === '') this.list();
      else this.watch(this.revision);
    } catch (error) {
      this.fail(messageOf(error));
    }
  }

  private beginAfter(delayMs: number): void {
    this.stopRequest();
    this.next = this.deps.timers.after(delayMs, () => this.begin(), { unref: true });
  }

  private stopRequest(): void {
    this.next?.cancel();
    this.request?.cancel();
    this.request = undefined;
  }

  private list(): void {
    this.listAskedMs = this.deps.clock.now();
    this.request = listSlices(this.deps, this.config, (result) => {
      this.request = undefined;
      if ('status' in result) return this.refused(result);
      const { slices, revision, problem } = result;
      if (problem !== undefined)
        this.deps.logger.warn({ ...this.fields, problem }, 'an EndpointSlice is left out');
      this.leftOut = problem;
      this.counts.lists += 1;
      this.toldMs = this.deps.clock.now();
      this.slices = slices;
      this.revision = revision;
      this.prove();
      this.take();
      this.begin();
    });
  }

  private watch(revision: string): void {
    const query = `watch=1&allowWatchBookmarks=true&resourceVersion=${encodeURIComponent(revision)}&timeoutSeconds=${watchSeconds(this.deps.random)}`;
    let openedMs: number | undefined;
    let events = 0;
    const path = slicesPath(placeOf(this.deps.api, this.config), query);
    const how = { path, maxLineBytes: MAX_LINE_BYTES, silentMs: SILENT_WATCH_MS };
    this.request = readLines(this.deps, this.config, how, {
      open: () => {
        openedMs = this.deps.clock.now();
        this.counts.watches += 1;
        this.prove();
        this.say();
      },
      lines: (lines) => {
        events += lines.length;
        this.onLines(lines);
      },
      end: (reply) => {
        this.request = undefined;
        const nowMs = this.deps.clock.now();
        const openMs = nowMs - (openedMs ?? nowMs);
        // Nobody ends watches as silent where a proxy cuts each of them before that.
        if (openedMs !== undefined && nowMs - this.toldMs >= SILENT_WATCH_MS) this.revision = '';
        const isOver = reply.status === OK || (reply.cause === 'away' && isLongWatch(openMs));
        if (!isOver) return this.refused(reply);
        if (isShortWatch(openMs, events)) return this.fail(`the watch ended after ${Math.round(openMs)} ms`);
        this.failuresInARow = 0;
        this.isRelisted = false;
        this.begin();
      },
    });
  }

  private onLines(lines: readonly string[]): void {
    let isNews = false;
    this.toldMs = this.deps.clock.now();
    for (const line of lines) {
      const event = this.boundedEvent(line);
      if (event.kind === 'expired' || event.kind === 'failed') {
        if (isNews) this.take();
        this.revision = '';
        // As after a restart of the API, however long that was away. A server that says so again and again is asked ever later.
        if (event.kind === 'expired' && !this.isRelisted) {
          this.isRelisted = true;
          return this.begin();
        }
        return this.fail(event.why);
      }
      this.revision = event.revision;
      if (event.kind === 'put') this.slices.set(event.slice.name, event.slice);
      if (event.kind === 'delete') this.slices.delete(event.name);
      if (event.kind !== 'bookmark') isNews = true;
    }
    this.failuresInARow = 0;
    this.isRelisted = false;
    this.prove();
    if (isNews) this.take();
  }

  /** What the watch has no room for is a failure: the list that follows fails too, and what is known stays in use. */
  private boundedEvent(line: string): WatchEvent {
    const event = readEvent(line);
    if (event.kind !== 'put' || this.slices.size < MAX_SLICES || this.slices.has(event.slice.name))
      return event;
    return { kind: 'failed', why: TOO_MANY_SLICES };
  }

  private prove(): void {
    this.provenMs = this.deps.clock.now();
    this.failure = undefined;
  }

  private refused(reply: Reply): void {
    // The revision has been forgotten, or that of a list has while its pages were read.
    if (reply.status === GONE) this.revision = '';
    // As is a watch from a revision to come: that of a server whose store was restored from a backup. A list proves what is known.
    if (reply.cause === 'silent') {
      this.revision = '';
      this.failuresInARow = 0;
    }
    this.fail(refusal(reply), retryAfterMs(reply.retryAfter), reply.cause !== undefined);
  }

  /** @param mayHurry it costs the API nothing to be asked again before the wait is over. */
  private fail(why: string, askedMs = 0, mayHurry = false): void {
    this.failure = why;
    this.failuresInARow += 1;
    this.counts.failures += 1;
    this.say();
    const delayMs = Math.max(askedMs, retryDelayMs(this.failuresInARow, this.deps.random));
    this.notBeforeMs = mayHurry ? Number.NEGATIVE_INFINITY : this.deps.clock.now() + delayMs;
    this.beginAfter(delayMs);
  }

  // ---- endpoints ----

  private readonly isAnswering = ({ endpoint }: ListedEndpoint): boolean =>
    this.deps.isAnswering(endpoint.address);

  /** Takes over what the slices say now. */
  private take(): void {
    const { endpoints, problem, unselected } = mergeSlices(this.slices.values(), this.config);
    this.finding = problem;
    this.unselected = unselected;
    this.isNoneSelected = endpoints.length === 0 && unselected.length > 0;
    if (this.slices.size === 0) this.absence.begin(this.config);
    else this.absence.end();
    const listed = this.listed(endpoints);
    this.replace(apply(this.registry, listed, this.isAnswering, this.deps.clock.now(), GRACE_MS));
    this.say();
  }

  private listed(found: readonly ServiceEndpoint[]): readonly ListedEndpoint[] {
    const conditions = new Map<EndpointConfig, EndpointCondition>();
    for (const each of found) conditions.set(endpointOf(each), each.condition);
    const all = [...conditions.keys()];
    const own = ownEndpoints(all, MAX_ENDPOINTS, this.seed);
    this.beyond = all.filter(isReplica).length - own.filter(isReplica).length;
    return own.map((endpoint) => {
      const condition = conditions.get(endpoint)!;
      const isEnding = condition === 'draining' || condition === 'ended';
      return {
        key: writeAddress(endpoint.address),
        status: condition === 'ready' ? 'passing' : 'critical',
        // That a pod ends is what somebody wants, and no mistake of the registry.
        isMaintained: isEnding,
        condition,
        endpoint,
      };
    });
  }

  private reevaluate(): void {
    const { registry } = this;
    if (registry?.guard === undefined) return;
    this.replace(reevaluate(registry, this.isAnswering, this.deps.clock.now(), GRACE_MS));
    this.say();
  }

  private replace(after: Registry<ListedEndpoint>): void {
    const before = this.registry;
    this.registry = after;
    this.sayGuard(before, after);
    this.reevaluation?.cancel();
    if (after.guard !== undefined)
      this.reevaluation = this.deps.timers.after(REEVALUATE_MS, () => this.reevaluate(), { unref: true });
    const members = after.members.filter(({ condition }) => condition !== 'ended');
    const { published } = this;
    if (published !== undefined && areSame(published, members)) return;
    this.published = members;
    const counts = { before: published?.length ?? 0, now: members.length, ready: after.usable };
    this.deps.logger.info(
      { ...this.fields, ...counts },
      'Kubernetes has changed the endpoints of an upstream',
    );
    this.onEndpoints(members.map(({ endpoint }) => endpoint));
  }

  // ---- log ----

  private get fields() {
    return { upstream: this.upstream, service: this.config.service };
  }

  /** Each change of what is wrong, once. */
  private say(): void {
    const { problem } = this;
    if (problem === this.logged) return;
    this.logged = problem;
    const { logger } = this.deps;
    const fields = { ...this.fields, problem };
    if (problem === undefined) logger.info(this.fields, 'the Service has ready endpoints');
    else if (this.failure === undefined) logger.warn(fields, 'the Service has no ready endpoint');
    else logger.warn(fields, 'the Kubernetes API cannot be followed; what is known stays in use');
  }

  private sayGuard(
    before: Registry<ListedEndpoint> | undefined,
    { guard, ended }: Registry<ListedEndpoint>,
  ): void {
    const { logger } = this.deps;
    if (before?.guard === undefined && guard !== undefined)
      logger.warn(
        { ...this.fields, kept: guard.retained.size, graceMs: GRACE_MS },
        'Kubernetes took away most endpoints at once; those that still answer calls are kept for now',
      );
    if (ended !== undefined)
      logger.info({ ...this.fields, ended }, 'endpoints are no longer kept against Kubernetes');
  }
}

function endpointOf({ host, port, pod, zone, condition }: ServiceEndpoint): EndpointConfig {
  const address = { kind: 'tcp', host, port } as const;
  return {
    address,
    weight: 1,
    id: pod === '' ? writeAddress(address) : pod,
    ...(zone === '' ? {} : { locality: zone }),
    ...(condition === 'ready' ? {} : { priority: CRITICAL_PRIORITY, critical: WHY_CRITICAL[condition] }),
    ...(condition === 'draining' || condition === 'ended' ? { isEnding: true } : {}),
  };
}

function areSame(before: readonly ListedEndpoint[], after: readonly ListedEndpoint[]): boolean {
  return (
    before.length === after.length &&
    before.every(({ key, condition, endpoint }, i) => {
      const now = after[i]!;
      const { id, locality } = now.endpoint;
      return (
        key === now.key && condition === now.condition && id === endpoint.id && locality === endpoint.locality
      );
    })
  );
}
