import { planRepository, wantedRevisions } from '../../core/models/repository-plan.js';
import { type Revision, SettledListing } from '../../core/models/settled-listing.js';
import { compareVersions, type VersionPolicy } from '../../core/models/version-policy.js';
import { listRevisions } from '../../health/model/model-revisions.js';
import { messageOf } from '../../runtime/log/message-of.js';
import type { AppContext } from '../context.js';
import type { LoadedRevision } from './loaded-revision.js';
import { LoadedRevisions, type RevisionOwner } from './loaded-revisions.js';
import { Pins } from './pins.js';
import { type IndexEntry, repositoryIndex } from './repository-index.js';
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
  readonly drainTimeoutMs: () => number;
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
 * The models of a directory: which versions are served follows from the directory, from the version policy, from commands
 * and from rollouts. `loaded` has those that have processes.
 */
export class ModelRepository {
  readonly loaded: LoadedRevisions;
  /** What is served with `control: rollout`. */
  readonly pins = new Pins();
  private readonly listing = new SettledListing();
  /** Models that a command has unloaded. */
  private readonly unloaded = new Set<string>();
  private readonly pending = new Set<PendingLoad>();
  private watcher: RepositoryWatch | undefined;
  private chosen: VersionPolicy;
  private isStopped = false;
  private problem = '';

  constructor(
    private readonly settings: RepositorySettings,
    private readonly owner: RevisionOwner,
    private readonly context: AppContext,
  ) {
    this.chosen = settings.policy;
    this.loaded = new LoadedRevisions(owner, context, settings.drainTimeoutMs);
  }

  /** Begins with these, which are open. `found`: all that is in the directory. */
  begin(initial: readonly LoadedRevision[], found: readonly Revision[]): void {
    this.pins.begin(initial);
    this.listing.observe(found, this.nowMs());
    this.loaded.begin(initial);
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

  /** Which versions are to be served. */
  get policy(): VersionPolicy {
    return this.chosen;
  }

  /**
   * The file says now which versions are to be served. A rollout brings them. A repository that began without rollouts would serve them at
   * once: it takes them over at the next start, and the rollouts with them.
   */
  choose(policy: VersionPolicy): void {
    if (this.settings.control === 'rollout') this.chosen = policy;
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
    const { load, unload } = planRepository(wanted, this.loaded.all);
    for (const each of load)
      if (this.pins.isCandidate(each)) this.loaded.loadHeld(each);
      else this.loaded.load(each);
    for (const each of unload) this.loaded.unload(each);
    for (const command of this.pending) this.settle(command);
  }

  private wanted(): readonly Revision[] {
    if (this.settings.control === 'rollout') return this.pins.wanted;
    const listed = this.listing.revisions().filter(({ name }) => !this.unloaded.has(name));
    return wantedRevisions(listed, this.policy);
  }

  /** A process of a revision has changed its state. */
  changed(revision: LoadedRevision): void {
    if (this.isStopped || !this.loaded.update(revision)) return;
    this.apply();
    this.owner.served();
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
    this.loaded.unloadFailed(name);
    return new Promise((resolve) => {
      this.pending.add({ name, resolve });
      this.apply();
    });
  }

  /** Answers a command whose model has come to rest: every wanted version is ready, or has failed. */
  private settle(command: PendingLoad): void {
    const wanted = this.wanted().filter(({ name }) => name === command.name);
    const held = wanted.map((each) => this.loaded.held(each));
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
    return repositoryIndex(this.listing.revisions(), this.loaded.all);
  }

  private nowMs(): number {
    return this.context.deps.clock.now();
  }
}
