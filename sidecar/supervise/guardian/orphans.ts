import type { TimeDeps } from '../../runtime/deps.js';
import { orphansOf, type ProcessIdentity, signalProcess } from '../../runtime/process/owned-processes.js';

/** Between SIGTERM and SIGKILL, and for the end after that. */
const PATIENCE_MS = 2_000;
const POLL_MS = 50;

/**
 * Ends what an earlier process of this owner has left behind, as where its guardian was killed too. Resolves with the processes that
 * were found, once they have ended, and after four seconds at most.
 */
export async function endOrphans(name: string, time: TimeDeps): Promise<readonly ProcessIdentity[]> {
  const found = orphansOf(name);
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const running = found.filter((each) => signalProcess(each, signal));
    if (running.length === 0) break;
    await untilGone(running, time);
  }
  return found;
}

function untilGone(processes: readonly ProcessIdentity[], { clock, timers }: TimeDeps): Promise<void> {
  const endMs = clock.now() + PATIENCE_MS;
  return new Promise((resolve) => {
    const look = (): void => {
      if (clock.now() >= endMs || !processes.some((each) => signalProcess(each, 0))) resolve();
      else timers.after(POLL_MS, look);
    };
    look();
  });
}
