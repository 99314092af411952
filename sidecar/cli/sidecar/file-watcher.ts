import { type FSWatcher, readFileSync, realpathSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import { attempt } from '../../runtime/attempt.js';
import type { Timer, Timers } from '../../runtime/time/timers.js';

export interface FileWatcher {
  close(): void;
}

export interface FileWatcherOptions {
  readonly file: string;
  readonly timers: Timers;
  onChange(): void;
  /** The file is gone, or a link to it leads nowhere; called once, until it is back. */
  onGone(): void;
  /** The system cannot watch the directory; the file can still be reloaded by a signal. */
  onProblem(error: Error): void;
}

/** Editors write in several steps: the content is compared this long after the last of them, ms. */
const SETTLE_MS = 150;

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
  return {
    close() {
      timer?.cancel();
      targets.close();
    },
  };
}

/** The folder of a file, and where it is a link the folder of what it leads to now. */
class WatchedPlaces {
  /** By path of the file in it. */
  private readonly watchers = new Map<string, FSWatcher>();

  constructor(
    private readonly file: string,
    private readonly onEvent: () => void,
    private readonly onProblem: (error: Error) => void,
  ) {}

  /** A link may have been turned. */
  follow(): void {
    const paths = new Set([this.file, attempt(() => realpathSync(this.file), this.file)]);
    for (const [path, watcher] of this.watchers) {
      if (paths.has(path)) continue;
      watcher.close();
      this.watchers.delete(path);
    }
    for (const path of paths) if (!this.watchers.has(path)) this.watch(path);
  }

  close(): void {
    for (const watcher of this.watchers.values()) watcher.close();
    this.watchers.clear();
  }

  private watch(path: string): void {
    try {
      const watcher = watch(dirname(path), { persistent: false }, (_, name) => {
        if (name === null || name === basename(path) || name.startsWith('..')) this.onEvent();
      });
      watcher.on('error', this.onProblem);
      this.watchers.set(path, watcher);
    } catch (error) {
      this.onProblem(error as Error);
    }
  }
}

function contentOf(file: string): string | undefined {
  return attempt(() => readFileSync(file, 'utf8'), undefined);
}
