import type { Revision } from '../../core/models/settled-listing.js';
import type { NamedVersion } from '../../discovery/consul/registered-models.js';
import { getOrInsert } from '../../runtime/get-or-insert.js';
import { AuditKind } from '../../telemetry/audit/trail.js';
import type { AppContext } from '../context.js';
import type { LoadedRevision } from './loaded-revision.js';
import { byNameAndVersion } from './repository-index.js';

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
 * The versions of models that have processes, each with its own. A new or changed version is loaded beside the one that is
 * served and takes its calls when it is ready; what it replaces then gets no more, finishes what it has, and is stopped. A bad
 * version gets none.
 */
export class LoadedRevisions {
  private readonly revisions: LoadedRevision[] = [];
  /** Loads that have ended, by model. */
  readonly loads = new Map<string, { ok: number; failed: number }>();

  constructor(
    private readonly owner: RevisionOwner,
    private readonly context: AppContext,
    /** Longest time that calls of a revision may take to end before its processes are stopped. */
    private readonly drainTimeoutMs: () => number,
  ) {}

  get all(): readonly LoadedRevision[] {
    return this.revisions;
  }

  /** Begins with these, which are open. */
  begin(initial: readonly LoadedRevision[]): void {
    this.revisions.push(...initial);
    for (const each of initial) this.owner.moved(each);
  }

  /** Starts processes for a revision; calls go to it as soon as it is ready. */
  load(revision: Revision): void {
    this.logLoad(revision);
    this.run(this.owner.open(revision, false));
  }

  /** The same, for a candidate of a rollout: no call goes to it until it is let go. */
  loadHeld(revision: Revision): void {
    this.logLoad(revision);
    const loaded = this.owner.open(revision, false);
    loaded.isHeld = true;
    loaded.backend.share = 0;
    this.run(loaded);
  }

  /** Loads the same files once more, beside the processes that serve; calls go to the fresh ones as soon as they are ready. */
  renew({ name, version, fingerprint }: Revision): LoadedRevision {
    return this.run(this.owner.open({ name, version, fingerprint }, false));
  }

  private logLoad({ name: model, version }: Revision): void {
    this.context.deps.logger.info({ model, version }, 'loading a version of a model');
  }

  private run(loaded: LoadedRevision): LoadedRevision {
    this.revisions.push(loaded);
    this.owner.moved(loaded);
    this.owner.run(loaded);
    return loaded;
  }

  /** Takes over what the processes of a revision have come to. True: its state has changed, and the plan with it. */
  update(revision: LoadedRevision): boolean {
    const before = revision.state.kind;
    if (!this.revisions.includes(revision)) return false;
    const hasMoved = revision.update();
    this.owner.moved(revision);
    if (!hasMoved) return false;
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
    return true;
  }

  private loadsOf(name: string): { ok: number; failed: number } {
    return getOrInsert(this.loads, name, () => ({ ok: 0, failed: 0 }));
  }

  /** No new calls; the processes end when the calls have, or the drain timeout has passed. */
  unload(revision: LoadedRevision): void {
    const { name: model, version, state } = revision;
    this.context.deps.logger.info({ model, version }, 'unloading a version of a model');
    revision.state = { kind: 'unloading' };
    this.owner.moved(revision);
    this.owner.served();
    void this.drained(revision, state.kind === 'ready')
      .then(() => revision.stop())
      .then(() => this.remove(revision));
  }

  /** Unloads what could not be loaded of a model, so that it may be loaded anew. */
  unloadFailed(name: string): void {
    for (const each of this.revisions)
      if (each.name === name && each.state.kind === 'failed') this.unload(each);
  }

  /** Gives a revision up, whose place another one of the same files has. */
  retire(revision: LoadedRevision): void {
    if (this.revisions.includes(revision) && revision.state.kind !== 'unloading') this.unload(revision);
  }

  /** Resolves when the last call has ended, or the drain timeout has passed; at once for one that never served. */
  private drained({ backend }: LoadedRevision, isServing: boolean): Promise<void> {
    backend.retire();
    if (!isServing) return Promise.resolve();
    return new Promise((resolve) => {
      const limit = this.context.deps.timers.after(this.drainTimeoutMs(), resolve);
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

  /** The revision with these files that has processes: the one that is ready where there are several. */
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
}
