import { type FSWatcher, watch } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from '../../runtime/time/clock.js';
import type { Timer, Timers } from '../../runtime/time/timers.js';
import type {
  Identity,
  IdentityFeed,
  IdentityParts,
  IdentityPaths,
  IdentitySource,
  IdentityStatus,
} from '../identity.js';
import type { MappedIds } from '../mapped-ids.js';
import { type IdentityProblem, isProblem } from '../spiffe.js';
import { assembleIdentity, problemInFiles } from './assemble-identity.js';
import { ageReport } from './expiry.js';
import { isSameParts, readIdentityFiles } from './secret-files.js';

export interface FileIdentityOptions {
  readonly paths: IdentityPaths;
  readonly trustDomain: string;
  /** The service the certificate must name. */
  readonly service: string;
  /** The services of ids that name none, of peers and in the certificate itself. */
  readonly ids?: MappedIds | undefined;
  readonly clock: Pick<Clock, 'wallNow'>;
  readonly timers: Timers;
  /** Identities that the issuing process sends, used as soon as they arrive. */
  readonly feed?: IdentityFeed | undefined;
  /** Called once for each new problem with changed files, in one line. */
  readonly onProblem?: (problem: string) => void;
}

/** How often the files are read without an event. */
const POLL_MS = 10_000;
/** Quiet time after an event before the files are read. */
const DEBOUNCE_MS = 100;
/** How long files may be inconsistent before that counts as a problem rather than a write in progress. */
const SETTLE_MS = 2_000;

/** The files cannot be used at start; the message names the file and the reason. */
export class IdentityFilesError extends Error {}

/**
 * The identity in PEM files (of `up`, cert-manager, SPIRE, Kubernetes secrets), followed as they
 * change.
 *
 * The files are read every 10 s, and 100 ms after a file-system event; events alone are not enough,
 * because mounts and replaced directories lose them. A set of files is taken over as a whole: while
 * certificate and key do not match, the old identity stays. With a `feed`, identities arrive also
 * when the disk is full; the files count again when they change.
 */
export class FileIdentitySource implements IdentitySource {
  private identity: Identity;
  private seen: IdentityParts | IdentityProblem;
  private failure: string | undefined;
  private debounce: Timer | undefined;
  private settle: Timer | undefined;
  private readonly poll: Timer;
  private readonly watchers: FSWatcher[] = [];
  private readonly listeners = new Set<(identity: Identity) => void>();

  /** Reads and checks the files, then watches them. Throws `IdentityFilesError`. */
  constructor(private readonly options: FileIdentityOptions) {
    this.seen = readIdentityFiles(options.paths);
    const fed = options.feed?.current();
    const identity = this.firstOf(fed === undefined ? [this.seen] : [fed, this.seen]);
    if (isProblem(identity)) throw new IdentityFilesError(`identity: ${identity.problem}`);
    this.identity = identity;
    options.feed?.subscribe((parts) => this.takeFed(parts));
    this.watchDirectories();
    this.poll = options.timers.every(POLL_MS, () => this.refresh());
  }

  current(): Identity {
    return this.identity;
  }

  subscribe(listener: (identity: Identity) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  status(): IdentityStatus {
    const { identity, failure } = this;
    const why = failure === undefined ? '' : `: ${failure}`;
    const want = `its files hold no new one${why}`;
    return {
      notAfterMs: identity.notAfterMs,
      ...ageReport(identity, this.options.clock.wallNow(), want),
      ...(failure === undefined ? {} : { failure }),
    };
  }

  close(): void {
    this.poll.cancel();
    this.debounce?.cancel();
    this.settle?.cancel();
    for (const watcher of this.watchers) watcher.close();
    this.listeners.clear();
  }

  /** Reads the files now. */
  refresh(): void {
    this.debounce?.cancel();
    this.debounce = undefined;
    const parts = readIdentityFiles(this.options.paths);
    // Unchanged bad files are checked again: the clock may have been wrong.
    if (isSameParts(parts, this.seen) && !this.failure && !this.settle) return;
    this.seen = parts;
    const next = this.check(parts);
    if (isProblem(next)) this.awaitConsistency();
    else this.accept(next);
  }

  /** An identity from the feed. One that cannot be used is reported and changes nothing. */
  private takeFed(parts: IdentityParts): void {
    const next = this.check(parts);
    if (isProblem(next)) this.report(next.problem);
    else this.accept(next);
  }

  /** The first usable identity, or the problem of the last. */
  private firstOf(sets: readonly (IdentityParts | IdentityProblem)[]): Identity | IdentityProblem {
    const checked = sets.map((parts) => this.check(parts));
    return checked.find((each) => !isProblem(each)) ?? checked.at(-1)!;
  }

  private check(parts: IdentityParts | IdentityProblem): Identity | IdentityProblem {
    if (isProblem(parts)) return parts;
    const made = assembleIdentity(parts, this.options, this.options.clock.wallNow());
    return isProblem(made) ? { problem: problemInFiles(made.problem, this.options.paths) } : made;
  }

  private accept(next: Identity): void {
    this.settle?.cancel();
    this.settle = undefined;
    this.failure = undefined;
    if (isSameParts(next, this.identity)) return;
    this.identity = next;
    for (const listener of [...this.listeners]) listener(next);
  }

  /** Reports a problem that is still there after the settling time. */
  private awaitConsistency(): void {
    this.settle ??= this.options.timers.after(SETTLE_MS, () => {
      const next = this.check(readIdentityFiles(this.options.paths));
      this.settle = undefined;
      if (isProblem(next)) this.report(next.problem);
      else this.accept(next);
    });
  }

  private report(fault: string): void {
    const problem = `new certificate files are not usable, the old ones stay in use: ${fault}`;
    if (problem === this.failure) return;
    this.failure = problem;
    this.options.onProblem?.(problem);
  }

  private watchDirectories(): void {
    const { cert, key, roots } = this.options.paths;
    for (const directory of new Set([cert, key, roots].map((path) => dirname(path)))) {
      try {
        const watcher = watch(directory, { persistent: false }, () => this.refreshSoon());
        watcher.on('error', () => watcher.close());
        this.watchers.push(watcher);
      } catch {
        // The number of watches is limited: the poll finds every change.
      }
    }
  }

  private refreshSoon(): void {
    this.debounce?.cancel();
    this.debounce = this.options.timers.after(DEBOUNCE_MS, () => this.refresh());
  }
}
