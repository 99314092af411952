import { readFileSync, watch } from 'node:fs';
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
 * over, or reached through the links that Kubernetes swaps (`..data`), and `onGone` when it is no longer there once its steps have
 * settled. Watches the directory, because a watch on a file stays with the old inode.
 */
export function watchFile({ file, timers, onChange, onGone, onProblem }: FileWatcherOptions): FileWatcher {
  let last = contentOf(file);
  let isGone = false;
  let timer: Timer | undefined;
  const compare = () => {
    const content = contentOf(file);
    const wasGone = isGone;
    isGone = content === undefined;
    if (isGone && !wasGone) onGone();
    if (content === undefined || content === last) return;
    last = content;
    onChange();
  };
  const onEvent = (name: string | null) => {
    if (name !== null && name !== basename(file) && !name.startsWith('..')) return;
    timer?.cancel();
    timer = timers.after(SETTLE_MS, compare);
  };
  try {
    const watcher = watch(dirname(file), { persistent: false }, (_, name) => onEvent(name));
    watcher.on('error', onProblem);
    return {
      close() {
        timer?.cancel();
        watcher.close();
      },
    };
  } catch (error) {
    onProblem(error as Error);
    return { close() {} };
  }
}

function contentOf(file: string): string | undefined {
  return attempt(() => readFileSync(file, 'utf8'), undefined);
}
