/**
 * Tells when a file's content has changed, however it was replaced: written in place, renamed over, or through
 * the links that Kubernetes swaps. Watches the directory, because a watch on a file follows the old one.
 */

import { readFileSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Timer, Timers } from '../../runtime/time/timers.js';

export interface FileWatch {
  close(): void;
}

/** An editor writes in several steps; what counts is the content after the last of them. */
const SETTLE_MS = 150;

/** `onProblem` is called when the system cannot watch; the file can then still be reloaded by a signal. */
export function watchFile(
  file: string,
  timers: Timers,
  onChange: () => void,
  onProblem: (error: Error) => void,
): FileWatch {
  let seen = contentOf(file);
  let timer: Timer | undefined;
  const look = () => {
    const content = contentOf(file);
    if (content === undefined || content === seen) return; // absent: between two steps of a replacement
    seen = content;
    onChange();
  };
  const touched = (name: string | null) => {
    if (name !== null && name !== basename(file) && !name.startsWith('..')) return;
    timer?.cancel();
    timer = timers.after(SETTLE_MS, look);
  };
  try {
    const watcher = watch(dirname(file), { persistent: false }, (_, name) => touched(name));
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
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
