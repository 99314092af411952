import { type FSWatcher, readFileSync, realpathSync, statSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import { attempt } from '../../runtime/attempt.js';
import type { Timer, Timers } from '../../runtime/time/timers.js';

export interface FileWatcher {
  /** The file is being read for another reason: what it holds now is no change. */
  isRead(): void;
  close(): void;
}

export interface FileWatcherOptions {
  readonly file: string;
  readonly timers: Timers;
  onChange(): void;
  /** The file is gone, or a link to it leads nowhere; called once, until it is back. */
  onGone(): void;
  /** The system cannot watch the directory; the file is still compared every 10 s. */
  onProblem(error: Error): void;
}

/** Editors write in several steps: the content is compared this long after the last of them, ms. */
const SETTLE_MS = 150;
/** How often the content is compared without an event: replaced directories, mounts and network file systems may have none. */
const POLL_MS = 10_000;

/**
 * Calls `onChange` when the content of a file has changed, whether it was written in place, renamed
 * over, or reached through links: those that Kubernetes swaps (`..data`), or one into another folder. Calls `onGone` when it is no longer
 * there once its steps have settled. Watches directories, because a watch on a file stays with the old inode.
 */
export function watchFile({ file, timers, onChange, onGone, onProblem }: FileWatcherOptions): FileWatcher {
  let last = contentOf(file);
  let isGone = false;
  let timer: Timer | undefined;
  const compare = () => {
    targets.follow();
    const content = contentOf(file);
    const wasGone = isGone;
    isGone = content === undefined;
    if (isGone && !wasGone) onGone();
    if (content === undefined || content === last) return;
    last = content;
    onChange();
  };
  const onEvent = () => {
    timer?.cancel();
    timer = timers.after(SETTLE_MS, compare);
  };
  const targets = new WatchedPlaces(file, onEvent, onProblem);
  targets.follow();
  const poll = timers.every(POLL_MS, onEvent, { unref: true });
  return {
    isRead() {
      targets.follow();
      last = contentOf(file) ?? last;
    },
    close() {
      poll.cancel();
      timer?.cancel();
      targets.close();
    },
  };
}

/** The folder of a file, and where it is a link the folder of what it leads to now. */
class WatchedPlaces {
  /** By path of the file in it. */
  private readonly places = new Map<string, WatchedPlace>();
  private isClosed = false;

  constructor(
    private readonly file: string,
    private readonly onEvent: () => void,
    private readonly onProblem: (error: Error) => void,
  ) {}

  /** A link may have been turned, or a directory replaced: a watch stays with the old one. */
  follow(): void {
    if (this.isClosed) return;
    const paths = new Set([this.file, attempt(() => realpathSync(this.file), this.file)]);
    for (const [path, { watcher }] of this.places) {
      if (paths.has(path)) continue;
      watcher?.close();
      this.places.delete(path);
    }
    for (const path of paths) {
      const directory = identityOf(dirname(path));
      const known = this.places.get(path);
      if (known !== undefined && known.directory === directory) continue;
      known?.watcher?.close();
      // That the directory is gone is said of the file.
      const isGone = known !== undefined && directory === undefined;
      this.places.set(path, { directory, watcher: isGone ? undefined : this.watch(path) });
    }
  }

  close(): void {
    this.isClosed = true;
    for (const { watcher } of this.places.values()) watcher?.close();
    this.places.clear();
  }

  private watch(path: string): FSWatcher | undefined {
    const directory = dirname(path);
    // The system names a directory that was moved or removed by its own name.
    const names = [null, basename(path), basename(directory)];
    try {
      const watcher = watch(directory, { persistent: false }, (_, name) => {
        if (names.includes(name) || name?.startsWith('..')) this.onEvent();
      });
      watcher.on('error', this.onProblem);
      return watcher;
    } catch (error) {
      this.onProblem(error as Error);
      return undefined;
    }
  }
}

interface WatchedPlace {
  /** Undefined: there is none. */
  readonly directory: string | undefined;
  /** Undefined: it cannot be watched. */
  readonly watcher: FSWatcher | undefined;
}

/** Inode numbers are used again: the time at which it was made tells two directories apart. */
function identityOf(directory: string): string | undefined {
  const stat = attempt(() => statSync(directory, { bigint: true }), undefined);
  return stat && `${stat.dev}:${stat.ino}:${stat.birthtimeNs}`;
}

function contentOf(file: string): string | undefined {
  return attempt(() => readFileSync(file, 'utf8'), undefined);
}
