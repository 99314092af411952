import { type RecycleLimits, recycleReason, waitsForRollout } from '../../core/models/recycle.js';
import { getOrInsert } from '../../runtime/get-or-insert.js';
import { messageOf } from '../../runtime/log/message-of.js';
import type { Timer } from '../../runtime/time/timers.js';
import type { AppContext } from '../context.js';
import type { LoadedRevision } from './loaded-revision.js';
import type { ModelRepository } from './model-repository.js';
import type { RolloutStore } from './rollout/store.js';

/** Between two looks at the processes, ms: what is looked at moves in minutes. */
const LOOK_MS = 5_000;
/** Name of the lock that lets one replica of a service recycle at a time. */
const LOCK = 'recycle';

export interface RecyclerDeps {
  readonly repository: ModelRepository;
  readonly context: AppContext;
  readonly limits: RecycleLimits;
  /** Where the replicas of the service agree; absent: chance keeps them apart. */
  readonly store?: RolloutStore | undefined;
  /** Whether a rollout of the service is under way at any replica. */
  isRollingOut(): boolean;
  /** Resident memory of the largest process of a version, bytes; 0: not known. */
  memoryOf(revision: LoadedRevision): number;
  /** Its state may be another one. */
  moved(revision: LoadedRevision): void;
}

/** What a detector suspects: one process of a version. */
export interface SuspectModel {
  readonly model: string | undefined;
  readonly version: string | undefined;
  /** Absent: the only one. */
  readonly instance?: number | undefined;
}

/** Who finds that a process is too old or too large. */
const OWN = 'recycler';

/** What is remembered of the processes of a version. */
interface Watched {
  /** Process ids at the last look; another one begins anew. */
  pids: string;
  sinceMs: number;
  /** From 0 to 1: how much earlier than its age says it is replaced. */
  readonly early: number;
  failedMs: number;
  /** Since when it has been due for the first time in the rollout that is under way; undefined: it was not. */
  heldSinceMs: number | undefined;
}

/** A fresh set of processes on its way to take over. */
interface Renewal {
  readonly old: LoadedRevision;
  readonly fresh: LoadedRevision;
}

/**
 * Replaces processes that serve before they fail: too old, too large, or suspected. The fresh one is loaded and proven beside
 * the old one and takes its calls when it is ready; then the old one drains. One at a time here, and at one replica of the
 * service at a time where they can agree. Where the fresh one does not load, the old one goes on. A process that is due waits for the end of
 * a rollout, for an hour at most: both take memory, and a version is judged by the processes that it has.
 */
export class Recycler {
  private readonly watched = new Map<LoadedRevision, Watched>();
  private timer: Timer | undefined;
  private renewal: Renewal | undefined;
  private isAsking = false;
  private isStopped = false;
  /** Renewals that have ended. */
  readonly counts = { done: 0, failed: 0 };

  constructor(private readonly deps: RecyclerDeps) {}

  start(): void {
    const { timers } = this.deps.context.deps;
    this.timer = timers.every(LOOK_MS, () => void this.look(), { unref: true });
  }

  stop(): void {
    this.isStopped = true;
    this.timer?.cancel();
  }

  /** A detector suspects a process that serves; empty `cause`: it does not any more, or the process has ended. */
  suspect({ model, version, instance = 0 }: SuspectModel, cause: string): void {
    for (const each of this.deps.repository.loaded.all) {
      if (each.name !== model || each.version !== version) continue;
      if (cause !== '' && (each.isHeld || each.state.kind !== 'ready')) continue;
      each.suspect(`process ${instance}`, cause);
      this.deps.moved(each);
    }
  }

  /** One look at all processes; at most one renewal begins. Never rejects. */
  async look(): Promise<void> {
    if (this.renewal !== undefined) return this.follow(this.renewal);
    const { all: revisions } = this.deps.repository.loaded;
    for (const each of this.watched.keys()) if (!revisions.includes(each)) this.watched.delete(each);
    if (this.isAsking || this.isStopped) return;
    const due = revisions.flatMap((each) => {
      const why = this.reasonOf(each);
      return why === undefined ? [] : [{ revision: each, why }];
    })[0];
    if (due === undefined) return;
    this.isAsking = true;
    const mayBegin = await this.lock();
    this.isAsking = false;
    if (!mayBegin || this.isStopped) return;
    // The answer took a while.
    if (this.reasonOf(due.revision) === undefined) return void this.unlock();
    this.begin(due.revision, due.why);
  }

  private reasonOf(revision: LoadedRevision): string | undefined {
    const { repository, context, limits, memoryOf } = this.deps;
    const nowMs = context.deps.clock.now();
    const { name, state, isHeld, suspicion, backend, hosts } = revision;
    if (state.kind !== 'ready' || isHeld || !repository.loaded.all.includes(revision)) return undefined;
    const watched = getOrInsert(this.watched, revision, () => ({
      ...{ pids: '', sinceMs: nowMs, early: context.deps.random(), failedMs: Number.NEGATIVE_INFINITY },
      heldSinceMs: undefined,
    }));
    const pids = hosts.map((host) => host.report().pid).join();
    if (pids !== watched.pids) {
      watched.pids = pids;
      watched.sinceMs = nowMs;
      watched.heldSinceMs = undefined;
    }
    const others = repository.loaded.all.filter((each) => each.name === name && each !== revision);
    const facts = {
      ...{ ageMs: nowMs - watched.sinceMs, memoryBytes: memoryOf(revision), suspicion },
      isWhole: backend.instances.every(({ isReady }) => isReady),
      isChanging: others.some(({ state: { kind } }) => kind !== 'failed'),
      sinceFailureMs: nowMs - watched.failedMs,
    };
    return this.unlessHeld(watched, revision, recycleReason(facts, limits, watched.early));
  }

  /** The reason to replace it, unless it waits for the end of a rollout. */
  private unlessHeld(
    watched: Watched,
    { name: model, version }: LoadedRevision,
    why: string | undefined,
  ): string | undefined {
    const { context, isRollingOut } = this.deps;
    if (!isRollingOut()) {
      watched.heldSinceMs = undefined;
      return why;
    }
    // A reason that comes and goes, such as a size at its limit, does not wait anew each time.
    if (why === undefined) return undefined;
    const { clock, logger } = context.deps;
    if (watched.heldSinceMs === undefined)
      logger.info({ model, version, why }, 'a process is due to be replaced, after the rollout');
    watched.heldSinceMs ??= clock.now();
    return waitsForRollout(clock.now() - watched.heldSinceMs) ? undefined : why;
  }

  private begin(old: LoadedRevision, why: string): void {
    const { name: model, version } = old;
    this.deps.context.deps.logger.info({ model, version, why }, 'replacing a process that serves');
    // A detector's suspicion stays until the detector withdraws it; what is found here ends with the renewal.
    const own = old.suspicion === '' ? why : '';
    old.suspect(OWN, own);
    this.deps.moved(old);
    this.renewal = { old, fresh: this.deps.repository.loaded.renew(old) };
  }

  private follow({ old, fresh }: Renewal): void {
    const { repository, context } = this.deps;
    const { name: model, version } = old;
    if (fresh.state.kind === 'loading') return;
    this.renewal = undefined;
    void this.unlock();
    if (fresh.state.kind === 'ready') {
      this.counts.done++;
      context.deps.logger.info({ model, version }, 'a fresh process has taken over');
      repository.loaded.retire(old);
      return;
    }
    this.counts.failed++;
    const watched = this.watched.get(old);
    if (watched !== undefined) watched.failedMs = context.deps.clock.now();
    context.deps.logger.error(
      { model, version, why: fresh.why },
      'a fresh process could not take over; the old one goes on',
    );
    old.suspect(OWN, '');
    this.deps.moved(old);
    repository.loaded.retire(fresh);
  }

  /** Without a place to agree in, the limits drawn by chance keep replicas apart. */
  private async lock(): Promise<boolean> {
    const { store, context } = this.deps;
    if (store === undefined) return true;
    try {
      return await store.take(LOCK);
    } catch (error) {
      context.deps.logger.warn(
        { problem: messageOf(error) },
        'no process is replaced: replicas cannot agree',
      );
      return false;
    }
  }

  private async unlock(): Promise<void> {
    // A lock that cannot be given back goes with the session.
    await this.deps.store?.give(LOCK).catch(() => {});
  }
}
