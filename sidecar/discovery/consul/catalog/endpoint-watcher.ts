import type { Address } from '../../../config/model.js';
import { present } from '../../../config/present.js';
import { apply, type Registry, reevaluate } from '../../../core/discovery/eviction-guard.js';
import { getOrInsert } from '../../../runtime/get-or-insert.js';
import type { Timer } from '../../../runtime/time/timers.js';
import type { Metric } from '../../../telemetry/metric.js';
import type { AgentReader } from '../client/response.js';
import { targetMetrics } from '../metrics.js';
import type { Instance, InstanceList } from '../parser/instances.js';
import { type InstanceStream, ParsePool } from '../parser/parser-pool.js';
import type { QueryRegistry, Watch } from '../query/query-registry.js';
import { type ConsulDeps, cachedIn, type QuerySpec, type Source } from '../query/query-spec.js';
import { cachedInstances } from './cached-instances.js';
import { EmptyListCheck } from './empty-list-check.js';
import { logEvictionsHeld, logHoldEnded } from './eviction-log.js';
import { keyOf, queryOf, type Target, titleOf } from './target.js';

/** What is known of a target's instances. */
export interface TargetState {
  /** Undefined: not known yet. Critical ones are among them, for when there are no others. */
  readonly instances: readonly Instance[] | undefined;
  /** By the monotonic clock: until then, some are kept although Consul took them away. */
  readonly graceUntilMs?: number;
}

/** One use of a target. */
export interface TargetWatch {
  /** Connections contradict what is known: Consul is read again, at most about once a second. */
  doubt(why: string): void;
  /** Ends this use; with the last one of its target the query ends. */
  close(): void;
}

/** What a watcher of endpoints is made with. */
export interface TargetDeps extends ConsulDeps {
  /** Asked whether an empty list is one that the token may not read: two small reads for each empty list. */
  readonly agent: AgentReader;
  /**
   * Our own; targets in another one are reached by their wan addresses. While it is not known no target is taken to
   * be elsewhere.
   */
  datacenter?(): string | undefined;
  /** Whether calls or connections to it show that it is there. */
  isAnswering(address: Address): boolean;
}

/** The part of `QueryRegistry` that is used here. */
export type Queries = Pick<QueryRegistry, 'watch'>;

/** `unconfirmed`: an empty list that nothing else known contradicts, and that Consul has not confirmed. A restart must not find it. */
type Origin = Source | 'unconfirmed';

type Listener = (state: TargetState) => void;

/** While instances are kept although Consul took them away, this often it is checked whether they still answer. */
const REEVALUATE_MS = 1_000;
/** So long before the grace time ends Consul is read again: what it said may be of a time at which the token had not the right. */
const REREAD_BEFORE_END_MS = 5_000;

/**
 * Keeps the instances of targets, one query for each target however many users it has. A working set of which Consul
 * takes away most at once is kept for the grace time (core/discovery/eviction-guard.ts).
 */
export class EndpointWatcher {
  private readonly entries = new Map<string, WatchedTarget>();
  private readonly pool: ParsePool;

  constructor(
    private readonly watches: Queries,
    private readonly deps: TargetDeps,
  ) {
    this.pool = new ParsePool(deps.timers);
  }

  /** @param onChange called with every change; synchronously with what is known, when something is. */
  watch(target: Target, onChange: Listener): TargetWatch {
    const key = keyOf(target);
    const make = () => new WatchedTarget(target, this.watches, this.deps, this.pool);
    const used = getOrInsert(this.entries, key, make);
    // A listener of its own for each user, in case one function is given twice.
    const listener: Listener = (state) => onChange(state);
    used.add(listener);
    return {
      doubt: (why) => used.doubt(listener, why),
      close: () => {
        if (!used.remove(listener)) return;
        if (this.entries.get(key) === used) this.entries.delete(key);
      },
    };
  }

  /** Instances by status, kept ones, skipped entries, and where answers were parsed. */
  metrics(): Metric[] {
    const reports = [...this.entries.values()].map((entry) => entry.report());
    return targetMetrics(reports, this.pool.counts);
  }

  /** Why empty lists of instances are not believed, by the name of their query. */
  problems(): ReadonlyMap<string, string> {
    const problems = new Map<string, string>();
    for (const { queryName, doubted } of this.entries.values())
      if (doubted !== undefined) problems.set(queryName, doubted);
    return problems;
  }

  /** Ends every query and the parse thread. */
  close(): void {
    for (const entry of this.entries.values()) entry.close();
    this.entries.clear();
    this.pool.close();
  }
}

class WatchedTarget {
  private readonly title: string;
  /** Of the cache file. */
  private readonly section: string;
  private readonly listeners = new Set<Listener>();
  private readonly stream: InstanceStream;
  private readonly passingOnly = new WeakMap<Instance, Instance>();
  private readonly isAnswering = ({ address, port }: Instance): boolean =>
    this.deps.isAnswering({ kind: 'tcp', host: address, port });
  private readonly emptyList: EmptyListCheck;
  private query: Watch | undefined;
  private registry: Registry<Instance> | undefined;
  /** The last answer with entries. */
  private lastListed: readonly Instance[] = [];
  private reevaluateTimer: Timer | undefined;
  private problem: string | undefined;
  private skipped = 0;
  private holds = 0;
  /** Within the grace time Consul has been read again towards its end. */
  private isReread = false;

  constructor(
    private readonly target: Target,
    private readonly watches: Queries,
    private readonly deps: TargetDeps,
    pool: ParsePool,
  ) {
    this.title = titleOf(target);
    this.section = `endpoints ${keyOf(target)}`;
    this.emptyList = new EmptyListCheck(target, deps, {
      believed: () => this.onBelieved(),
      refused: (problem) => this.keepLast(problem),
      unconfirmed: (problem) => this.sayKept(problem),
      isReadSince: (atMs) => this.isReadSince(atMs),
      returned: () => this.query?.reread('the token may read it again'),
    });
    this.stream = pool.stream({
      placeKeys: deps.config.locality,
      get wan() {
        const own = deps.datacenter?.();
        return target.datacenter !== undefined && own !== undefined && target.datacenter !== own;
      },
    });
  }

  /** Adds a user: the first one starts the query, a later one is called at once with what is known. */
  add(listener: Listener): void {
    this.listeners.add(listener);
    if (this.query === undefined) this.open();
    else if (this.registry !== undefined) this.notify(listener, this.registry);
  }

  /** True when it was the last user, and the query has ended. */
  remove(listener: Listener): boolean {
    if (!this.listeners.delete(listener) || this.listeners.size > 0) return false;
    this.close();
    return true;
  }

  /** Reads Consul again, unless the user has left. */
  doubt(listener: Listener, why: string): void {
    if (this.listeners.has(listener)) this.query?.reread(why);
  }

  close(): void {
    this.listeners.clear();
    this.query?.close();
    this.emptyList.end();
    this.reevaluateTimer?.cancel();
    this.stream.close();
  }

  get queryName(): string {
    return queryOf(this.target).name;
  }

  /** Why an empty list is not believed; undefined while none is doubted. */
  get doubted(): string | undefined {
    return this.emptyList.problem;
  }

  /** What the metrics show of this target. */
  report() {
    const { title, registry, skipped, holds } = this;
    const { members = [], guard } = registry ?? {};
    const isUnreadable = this.emptyList.isRefused;
    return { title, members, kept: guard?.retained.size ?? 0, skipped, holds, isUnreadable };
  }

  private open(): void {
    const spec: QuerySpec<InstanceList> = {
      ...queryOf(this.target),
      parse: (body) => this.stream.read(body),
      // `replaceRegistry` keeps what came of an answer: one that is doubted must not be what a restart finds.
      ...cachedIn(this.deps.cache, this.section, cachedInstances),
    };
    this.query = this.watches.watch(spec, (list, from) => this.onInstances(list, from));
  }

  private onInstances({ instances, skipped, problem }: InstanceList, from: Source): void {
    this.skipped = skipped;
    if (problem !== undefined && problem !== this.problem) {
      const fields = { target: this.title, skipped, problem };
      this.deps.logger.warn(fields, 'entries of an answer of Consul make no sense and are left out');
    }
    this.problem = problem;
    const isStrict = this.target.onlyPassing === true;
    const answer = isStrict ? instances.map((each) => this.asPassingOnly(each)) : instances;
    const isEmpty = from === 'agent' && answer.length === 0 && skipped === 0;
    if (isEmpty) {
      // Where nothing is known there is none, until something else is found out.
      if (!this.hasMembers) this.take(answer, 'unconfirmed');
      return this.emptyList.begin();
    }
    this.emptyList.end();
    this.take(answer, from);
  }

  private get hasMembers(): boolean {
    return this.registry !== undefined && this.registry.members.length > 0;
  }

  /** The list can be read, and was at or after this time. */
  private isReadSince(atMs: number): boolean {
    const { problem, ageMs = Number.POSITIVE_INFINITY } = this.query?.status() ?? {};
    return problem === undefined && ageMs <= this.deps.clock.now() - atMs;
  }

  private onBelieved(): void {
    this.take([], 'agent');
    if (this.hasMembers) return;
    // An old list is nothing to go back to.
    this.lastListed = [];
    // Where it was taken before it was confirmed, that is no change.
    this.deps.cache?.save(this.section, []);
  }

  private take(answer: readonly Instance[], from: Origin): void {
    const { config, clock } = this.deps;
    if (answer.length > 0) this.lastListed = answer;
    this.replaceRegistry(apply(this.registry, answer, this.isAnswering, clock.now(), config.graceMs), from);
  }

  /** The token may not read the instances: what was listed while it might is what is known. */
  private keepLast(problem: string): void {
    const { config, clock } = this.deps;
    const kept = this.lastListed;
    this.sayKept(problem);
    this.replaceRegistry(apply(undefined, kept, this.isAnswering, clock.now(), config.graceMs), 'agent');
  }

  private sayKept(problem: string): void {
    const { length } = this.lastListed;
    const what = length > 0 ? 'the last list of Consul stays in use' : 'an empty list of Consul is doubted';
    this.deps.logger.warn({ target: this.title, instances: length, problem }, what);
  }

  /** The same instance, critical unless it passes. One object for one object, so that what has not changed is seen. */
  private asPassingOnly(instance: Instance): Instance {
    if (instance.status !== 'warning') return instance;
    return getOrInsert(this.passingOnly, instance, () => ({ ...instance, status: 'critical' }));
  }

  private reevaluate(): void {
    this.reevaluateTimer = undefined;
    if (this.registry?.guard === undefined) return;
    const { config, clock } = this.deps;
    if (!this.isReread && this.registry.guard.untilMs - clock.now() <= REREAD_BEFORE_END_MS) {
      this.isReread = true;
      this.query?.reread('the grace time is nearly over');
    }
    const after = reevaluate(this.registry, this.isAnswering, clock.now(), config.graceMs);
    if (after.members.length === 0) this.emptyList.begin();
    else this.replaceRegistry(after, 'agent');
  }

  private replaceRegistry(after: Registry<Instance>, from: Origin): void {
    const before = this.registry;
    this.registry = after;
    if (before?.guard === undefined && after.guard !== undefined) {
      this.holds += 1;
      this.isReread = false;
      logEvictionsHeld(this.deps.logger, this.title, after);
      // The server that answered may lag behind: the leader is asked.
      if (from === 'agent') this.query?.reread('it took away most of a working set at once');
    }
    logHoldEnded(this.deps.logger, this.title, after);
    this.reevaluateTimer?.cancel();
    this.reevaluateTimer = undefined;
    if (after.guard !== undefined) {
      const dueMs = Math.max(0, Math.min(REEVALUATE_MS, after.guard.untilMs - this.deps.clock.now()));
      this.reevaluateTimer = this.deps.timers.after(dueMs, () => this.reevaluate(), { unref: true });
    }
    const isSame = before !== undefined && areSame(before.members, after.members);
    if (isSame && before.guard?.untilMs === after.guard?.untilMs) return;
    if (!isSame && from === 'agent') this.deps.cache?.save(this.section, after.members);
    for (const listener of [...this.listeners]) this.notify(listener, after);
  }

  private notify(listener: Listener, { members, guard }: Registry<Instance>): void {
    if (!this.listeners.has(listener)) return;
    try {
      listener({ instances: members, ...present('graceUntilMs', guard?.untilMs) });
    } catch (error) {
      this.deps.logger.error({ target: this.title, error }, 'a user of the endpoints of a target failed');
    }
  }
}

/** Instances that have not changed are the same objects. */
function areSame(before: readonly Instance[], after: readonly Instance[]): boolean {
  return before.length === after.length && before.every((instance, i) => instance === after[i]);
}
