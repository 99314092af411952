import { type FSWatcher, watch } from 'node:fs';
import { join } from 'node:path';
import type { Timer, Timers } from '../../runtime/time/timers.js';

export interface RepositoryWatchOptions {
  readonly directory: string;
  readonly timers: Timers;
  /** Between two scans where the system reports no change: files deeper down are not watched. */
  readonly pollMs: number;
  /** Looks at the directory; the names of the models in it, and whether something is still moving. */
  scan(): { readonly names: readonly string[]; readonly isMoving: boolean };
}

/** From a change to the scan, ms; a copy makes many changes. */
const AFTER_CHANGE_MS = 100;
/** Between two scans while something moves. */
const MOVING_MS = 500;

/**
 * Scans a repository once in `pollMs`, soon after its folder or the folder of a model has changed, and while something
 * moves. A folder that cannot be watched (no inotify left, a network file system) is scanned all the same.
 */
export class RepositoryWatch {
  private readonly watchers = new Map<string, FSWatcher>();
  private timer: Timer | undefined;
  private isClosed = false;
  private isDueSoon = false;

  constructor(private readonly options: RepositoryWatchOptions) {}

  start(): void {
    this.scan();
  }

  close(): void {
    this.isClosed = true;
    this.timer?.cancel();
    for (const watcher of this.watchers.values()) watcher.close();
    this.watchers.clear();
  }

  private scan(): void {
    if (this.isClosed) return;
    this.isDueSoon = false;
    const { names, isMoving } = this.options.scan();
    this.watchFolders(names);
    this.scanAfter(isMoving ? Math.min(MOVING_MS, this.options.pollMs) : this.options.pollMs);
  }

  private scanAfter(delayMs: number): void {
    this.timer?.cancel();
    this.timer = this.options.timers.after(delayMs, () => this.scan(), { unref: true });
  }

  private watchFolders(names: readonly string[]): void {
    const { directory } = this.options;
    const folders = new Set([directory, ...names.map((name) => join(directory, name))]);
    for (const [folder, watcher] of this.watchers) {
      if (folders.has(folder)) continue;
      watcher.close();
      this.watchers.delete(folder);
    }
    for (const folder of folders) if (!this.watchers.has(folder)) this.watchFolder(folder);
  }

  private watchFolder(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, () => this.onChange());
      watcher.on('error', () => this.drop(folder));
      this.watchers.set(folder, watcher);
    } catch {
      // it is scanned all the same
    }
  }

  private drop(folder: string): void {
    this.watchers.get(folder)?.close();
    this.watchers.delete(folder);
  }

  /** A scan is due soon already: changes without an end do not put it off. */
  private onChange(): void {
    if (this.isClosed || this.isDueSoon) return;
    this.isDueSoon = true;
    this.scanAfter(AFTER_CHANGE_MS);
  }
}
