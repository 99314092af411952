import { planRepository, wantedRevisions } from '../../core/models/repository-plan.js';
import { type Revision, SettledListing } from '../../core/models/settled-listing.js';
import { compareVersions, type VersionPolicy } from '../../core/models/version-policy.js';
import type { NamedVersion } from '../../discovery/consul/registered-models.js';
import { listRevisions } from '../../health/model/model-revisions.js';
import { getOrInsert } from '../../runtime/get-or-insert.js';
import { messageOf } from '../../runtime/log/message-of.js';
import { AuditKind } from '../../telemetry/audit/trail.js';
import type { AppContext } from '../context.js';
import type { LoadedRevision } from './loaded-revision.js';
import { Pins } from './pins.js';
import { RepositoryWatch } from './repository-watch.js';

/** How a repository changes while it is served (Triton's `--model-control-mode`); `rollout`: by rollouts only. */
export type ModelControl = 'none' | 'poll' | 'explicit' | 'rollout';

export interface RepositorySettings {
  /** `DIR/NAME/VERSION/…` */
  readonly directory: string;
  readonly policy: VersionPolicy;
  readonly control: ModelControl;
  /** Between two scans with `poll`. */
  readonly pollMs: number;
  /** Longest time that calls of a revision may take to end before its processes are stopped. */
  readonly drainTimeoutMs: number;
}

/** What a repository asks of the inbound side. */
export interface RevisionOwner {
  /** Makes what a revision needs to be served; `isInitial`: it was there at the start. */
  open(revision: Revision, isInitial: boolean): LoadedRevision;
  /** Starts its processes. */
  run(revision: LoadedRevision): void;
  /** The revision has ended, and gets no more calls. */
  close(revision: LoadedRevision): void;
  /** What is served may have changed. */
  served(): void;
  /** A revision, or one of its processes, may have changed its state. */
  moved(revision: LoadedRevision): void;
  /** What is in the directory, after each look. */
  listed(all: readonly Revision[]): void;
}

/**
 * A line of RepositoryIndex, with the states of Triton. `reason` says why it is UNAVAILABLE, and of a version that is READY
 * why its files, which have changed since, could not be loaded.
 */
export interface IndexEntry {
  readonly name: string;
  readonly version: string;
  readonly state: 'READY' | 'LOADING' | 'UNLOADING' | 'UNAVAILABLE';
  readonly reason: string;
}

/** What came of a command: empty, or why it failed. */
export type CommandResult =
  | { readonly kind: 'done' }
  | { readonly kind: 'unknown' | 'failed'; readonly why: string };

const STOPPING = 'the sidecar is stopping';

interface PendingLoad {
  readonly name: string;
  resolve(result: CommandResult): void;
}

/**
 * The models of a directory, each version with processes of its own: which are served follows from the directory, from the
 * version policy and from commands. A new or changed version is loaded beside the one that is served and takes its calls when
 * it is ready; what it replaces then gets no more, finishes what it has, and is stopped. A bad version gets none.
 */
export class ModelRepository {
  readonly revisions: LoadedRevision[] = [];
  /** What is served with `control: rollout`. */
  readonly pins = new Pins();
  private readonly listing = new SettledListing();
  /** Models that a command has unloaded. */
  private readonly unloaded = new Set<string>();
  private readonly pending = new Set<PendingLoad>();
  /** Loads that have ended, by model. */
  readonly loads = new Map<string, { ok: number; failed: number }>();
  private watcher: RepositoryWatch | undefined;
  /** Which versions are to be served; a reload may change it. */
  policy: VersionPolicy;
  private isStopped = false;
  private problem = '';

  constructor(
    private readonly settings: RepositorySettings,
    private readonly owner: RevisionOwner,
    private readonly context: AppContext,
  ) {
    this.policy = settings.policy;
  }

  /**
   * The revisions that are served from the start, without those whose very files a sidecar before this one has rejected.
   *
   * @throws Error of one line when the directory cannot be read or has no version to serve.
   */
  static initial(
    { directory, policy }: RepositorySettings,
    isRejected: (revision: Revision) => boolean = () => false,
    /** By model the version that a rollout has left; it counts where it is there. */
    pinned: Readonly<Record<string, string>> = {},
  ): readonly Revision[] {
    const all = listRevisions(directory);
    // Of a model of which nothing else is there, a rejected version is tried again.
    const found = all.filter(
      (each) => !isRejected(each) || all.every((other) => other.name !== each.name || isRejected(other)),
    );
    if (!found.some(({ version }) => version !== ''))
      throw new Error(`${directory}: found no models, expected <name>/<version>/model.yaml`);
    const chosen = found.filter(
      ({ name, version }) => Object.hasOwn(pinned, name) && pinned[name] === version,
    );
    const others = found.filter(({ name }) => chosen.every((each) => each.name !== name));
    const wanted = [...chosen, ...wantedRevisions(others, policy)];
    if (wanted.length === 0)
      throw new Error(`${directory}: found no version that the version policy serves, expected at least one`);
    return wanted;
  }

  /** Begins with these, which are open. `found`: all that is in the directory. */
  begin(initial: readonly LoadedRevision[], found: readonly Revision[]): void {
    this.revisions.push(...initial);
    this.pins.begin(initial);
    this.listing.observe(found, this.nowMs());
    for (const each of initial) this.owner.moved(each);
  }

  /** Follows the directory from now on, where it is watched. */
  start(): void {
    const { directory, control, pollMs } = this.settings;
    if (control !== 'poll' && control !== 'rollout') return;
    const { timers } = this.context.deps;
    this.watcher = new RepositoryWatch({ directory, timers, pollMs, scan: () => this.scan() });
    this.watcher.start();
  }

  stop(): void {
    this.isStopped = true;
    this.watcher?.close();
    for (const { resolve } of this.pending) resolve({ kind: 'failed', why: STOPPING });
    this.pending.clear();
  }

  // ---- changes ----

  private scan(): { readonly names: readonly string[]; readonly isMoving: boolean } {
    const isRead = this.look();
    if (isRead) this.apply();
    const names = new Set(this.listing.revisions().map(({ name }) => name));
    return { names: [...names], isMoving: isRead && this.listing.isMoving };
  }

  /** Reads the directory. What cannot be read changes nothing: no model is unloaded for want of a listing. */
  private look(): boolean {
    const { logger } = this.context.deps;
    try {
      this.listing.observe(listRevisions(this.settings.directory), this.nowMs());
      this.problem = '';
      this.owner.listed(this.listing.revisions());
      return true;
    } catch (error) {
      const problem = messageOf(error);
      if (problem !== this.problem)
        logger.warn({ problem }, 'the model repository cannot be read; what is served stays');
      this.problem = problem;
      return false;
    }
  }

  /** Loads and unloads what the plan says. */
  private apply(): void {
    if (this.isStopped) return;
    const wanted = this.wanted();
    const { load, unload } = planRepository(wanted, this.revisions);
    for (const each of load) this.load(each);
    for (const each of unload) this.unload(each);
    for (const command of this.pending) this.settle(command);
  }

  private wanted(): readonly Revision[] {
    if (this.settings.control === 'rollout') return this.pins.wanted;
    const listed = this.listing.revisions().filter(({ name }) => !this.unloaded.has(name));
    return wantedRevisions(listed, this.policy);
  }

  private load(revision: Revision): void {
    const { name: model, version } = revision;
    this.context.deps.logger.info({ model, version }, 'loading a version of a model');
    const loaded = this.owner.open(revision, false);
    if (this.pins.isCandidate(revision)) hold(loaded);
    this.revisions.push(loaded);
    this.owner.moved(loaded);
    this.owner.run(loaded);
  }

  /** A process of a revision has changed its state. */
  changed(revision: LoadedRevision): void {
    const before = revision.state.kind;
    if (this.isStopped || !this.revisions.includes(revision)) return;
    const hasMoved = revision.update();
    this.owner.moved(revision);
    if (!hasMoved) return;
    const { logger } = this.context.deps;
    const { audit } = this.context.dataPlane;
    const { name: model, version, state } = revision;
    if (state.kind === 'ready' && before === 'loading') {
      this.loadsOf(model).ok++;
      logger.info({ model, version }, 'a version of a model is ready');
      audit.record(AuditKind.modelLoaded, { model, version });
    }
    if (before === 'loading' && 'why' in state) this.loadsOf(model).failed++;
    if (state.kind === 'failed') {
      logger.error({ model, version, why: state.why }, 'a version of a model could not be loaded');
      audit.record(AuditKind.modelRejected, { model, version, why: state.why });
      void revision.stop();
    }
    this.apply();
    this.owner.served();
  }

  private loadsOf(name: string): { ok: number; failed: number } {
    return getOrInsert(this.loads, name, () => ({ ok: 0, failed: 0 }));
  }

  /** No new calls; the processes end when the calls have, or the drain timeout has passed. */
  private unload(revision: LoadedRevision): void {
    const { name: model, version, state } = revision;
    const { deps } = this.context;
    deps.logger.info({ model, version }, 'unloading a version of a model');
    revision.state = { kind: 'unloading' };
    this.owner.moved(revision);
    this.owner.served();
    void this.drained(revision, state.kind === 'ready')
      .then(() => revision.stop())
      .then(() => this.remove(revision));
  }

  /** Resolves when the last call has ended, or the drain timeout has passed; at once for one that never served. */
  private drained({ backend }: LoadedRevision, isServing: boolean): Promise<void> {
    backend.retire();
    if (!isServing) return Promise.resolve();
    return new Promise((resolve) => {
      const limit = this.context.deps.timers.after(this.settings.drainTimeoutMs, resolve);
      backend.whenIdle(() => {
        limit.cancel();
        resolve();
      });
    });
  }

  private remove(revision: LoadedRevision): void {
    this.revisions.splice(this.revisions.indexOf(revision), 1);
    this.owner.close(revision);
    const { name: model, version } = revision;
    this.context.deps.logger.info({ model, version }, 'a version of a model is unloaded');
    this.context.dataPlane.audit.record(AuditKind.modelUnloaded, { model, version });
  }

  /** Each version that this instance serves, in the order of names and versions. */
  served(): readonly NamedVersion[] {
    const served = new Map<string, NamedVersion>();
    for (const { name, version, isServed } of this.revisions)
      if (isServed) served.set(`${version}/${name}`, { name, version });
    return [...served.values()].sort(byNameAndVersion);
  }

  // ---- rollouts ----

  /** The versions of a model that are complete in the directory, by a fresh look. */
  listed(name: string): readonly Revision[] {
    this.look();
    return this.listing.revisions().filter((each) => each.name === name);
  }

  /**
   * Of the models that are served, the highest version that the policy chooses and that is above the one that is served, or
   * whose files have changed since; undefined: there is none. What `isRejected` says is passed over.
   */
  newcomer(isRejected: (revision: Revision) => boolean): Revision | undefined {
    const { policy } = this;
    const wanted = wantedRevisions(
      this.listing.revisions().filter((each) => !isRejected(each)),
      policy,
    );
    return wanted.find((each) => {
      const served = this.pins.servedOf(each.name);
      if (served === undefined || served.fingerprint === each.fingerprint) return false;
      return policy.kind === 'specific' || compareVersions(each.version, served.version) >= 0;
    });
  }

  /** Loads a revision beside the one that is served, and keeps calls away from it. */
  offer(revision: Revision): void {
    this.pins.offer(revision);
    this.apply();
  }

  /** The candidate is what is served from now on; what it replaces drains and stops once it is ready. */
  commit(name: string): void {
    this.pins.commit(name);
    this.apply();
    this.owner.served();
  }

  /** The candidate gets no call any more, and goes. */
  withdraw(name: string): void {
    if (this.pins.candidateOf(name) === undefined) return;
    this.pins.withdraw(name);
    this.apply();
    this.owner.served();
  }

  /** Calls go elsewhere than before. */
  changedTraffic(): void {
    this.owner.served();
  }

  /** Loads the same files once more, beside the processes that serve; calls go to the fresh ones as soon as they are ready. */
  renew({ name, version, fingerprint }: Revision): LoadedRevision {
    const fresh = this.owner.open({ name, version, fingerprint }, false);
    this.revisions.push(fresh);
    this.owner.moved(fresh);
    this.owner.run(fresh);
    return fresh;
  }

  /** Gives a revision up, whose place another one of the same files has. */
  retire(revision: LoadedRevision): void {
    if (this.revisions.includes(revision) && revision.state.kind !== 'unloading') this.unload(revision);
  }

  /** The revision with these files that has processes. */
  held({ name, version, fingerprint }: Revision): LoadedRevision | undefined {
    const own = this.revisions.filter(
      (each) =>
        each.name === name &&
        each.version === version &&
        each.fingerprint === fingerprint &&
        each.state.kind !== 'unloading',
    );
    return own.findLast(({ state }) => state.kind === 'ready') ?? own.at(-1);
  }

  // ---- commands ----

  /**
   * Loads a model as it is in the directory now: versions that are new or have changed, and those that failed before.
   * Resolves when all of its versions are ready, or one has failed. Never rejects.
   */
  loadModel(name: string): Promise<CommandResult> {
    if (this.isStopped) return Promise.resolve({ kind: 'failed', why: STOPPING });
    if (!this.look()) return Promise.resolve({ kind: 'failed', why: this.problem });
    this.listing.accept(name);
    if (!this.listing.revisions().some((each) => each.name === name))
      return Promise.resolve({ kind: 'unknown', why: 'failed to poll from model repository' });
    this.unloaded.delete(name);
    for (const each of this.revisions)
      if (each.name === name && each.state.kind === 'failed') this.unload(each);
    return new Promise((resolve) => {
      this.pending.add({ name, resolve });
      this.apply();
    });
  }

  /** Answers a command whose model has come to rest: every wanted version is ready, or has failed. */
  private settle(command: PendingLoad): void {
    const wanted = this.wanted().filter(({ name }) => name === command.name);
    const held = wanted.map((each) => this.held(each));
    if (held.some((each) => each === undefined || each.state.kind === 'loading')) return;
    const bad = held.filter((each) => each !== undefined && each.state.kind !== 'ready');
    this.pending.delete(command);
    if (bad.length === 0) return command.resolve({ kind: 'done' });
    const why = bad
      .map((each) => `version ${each!.version} is at UNAVAILABLE state: ${each!.why};`)
      .join(' ');
    command.resolve({ kind: 'failed', why });
  }

  /** Calls of the model get NOT_FOUND from now on; those under way end. */
  unloadModel(name: string): CommandResult {
    const isKnown = this.index().some((entry) => entry.name === name);
    if (!isKnown) return { kind: 'unknown', why: `'${name}' is not found` };
    this.unloaded.add(name);
    this.apply();
    return { kind: 'done' };
  }

  /** Every version that is there or has processes, in the order of names and versions. */
  index(): readonly IndexEntry[] {
    const entries = new Map<string, IndexEntry>();
    for (const { name, version } of this.listing.revisions())
      entries.set(`${version}/${name}`, { name, version, state: 'UNAVAILABLE', reason: 'unloaded' });
    for (const each of this.revisions) {
      const { name, version } = each;
      const key = `${version}/${name}`;
      const entry = entryOf(each);
      const known = entries.get(key);
      if (known === undefined || RANKS[entry.state] >= RANKS[known.state]) entries.set(key, entry);
    }
    // The files of a version that is served have changed, and could not be loaded.
    for (const { name, version, state } of this.revisions) {
      const entry = entries.get(`${version}/${name}`)!;
      if (state.kind === 'failed' && entry.state === 'READY')
        entries.set(`${version}/${name}`, {
          ...entry,
          reason: `changed since, and not loaded again: ${state.why}`,
        });
    }
    return [...entries.values()].sort(byNameAndVersion);
  }

  private nowMs(): number {
    return this.context.deps.clock.now();
  }
}

/** No call goes to it until it is let go. */
function hold(loaded: LoadedRevision): void {
  loaded.isHeld = true;
  loaded.backend.share = 0;
}

/** Of several revisions of one version the one that matters most stands in the index. */
const RANKS = { UNAVAILABLE: 0, UNLOADING: 1, LOADING: 2, READY: 3 } as const;

function byNameAndVersion(a: NamedVersion, b: NamedVersion): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : compareVersions(a.version, b.version);
}

/** What RepositoryIndex says of one revision. */
function entryOf({ name, version, state, why }: LoadedRevision): IndexEntry {
  const states = { loading: 'LOADING', ready: 'READY', unloading: 'UNLOADING' } as const;
  if (state.kind === 'unavailable' || state.kind === 'failed')
    return { name, version, state: 'UNAVAILABLE', reason: why };
  return { name, version, state: states[state.kind], reason: '' };
}
