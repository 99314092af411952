/** Looks at a running mesh while a drill lasts: endpoints that leave and enter the choice of the caller, and model processes. */

import type { MarkRecord } from '../history/record.js';
import { changesBetween, type EndpointLook } from '../run/observer.js';
import type { MeshLook, ProcessView } from './control.js';

/** Each look asks every sidecar for a page, which takes it a millisecond. */
const POLL_MS = 100;

/** Marks for processes that ended, and for those that serve again. */
export function processChanges(
  before: readonly ProcessView[],
  after: readonly ProcessView[],
  atMs: number,
): MarkRecord[] {
  return after.flatMap((now): MarkRecord[] => {
    const was = before.find(({ replica }) => replica === now.replica);
    if (was === undefined) return [];
    const { replica, pid, why } = now;
    const marks: MarkRecord[] = [];
    if (was.isReady && (!now.isReady || was.pid !== pid))
      marks.push({
        atMs,
        kind: 'died',
        replica,
        text: `the model process ${was.pid ?? ''} ended${why && `: ${why}`}`,
      });
    if (now.isReady && (!was.isReady || was.pid !== pid))
      marks.push({ atMs, kind: 'restarted', replica, text: `the model process ${pid ?? ''} serves` });
    return marks;
  });
}

/** What is looked at, and where marks go. */
export interface MeshObserverDeps {
  look(): Promise<MeshLook>;
  /** Ms of the run. */
  now(): number;
  note(mark: MarkRecord): void;
}

/** Looks until it is stopped. */
export class MeshObserver {
  private last: (EndpointLook & Pick<MeshLook, 'processes'>) | undefined;
  private timer: NodeJS.Timeout | undefined;
  private isStopped = false;

  constructor(private readonly deps: MeshObserverDeps) {}

  start(): void {
    void this.look();
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
  }

  private async look(): Promise<void> {
    const { now, note } = this.deps;
    const askedMs = now();
    const seen = await this.deps.look().catch(() => undefined);
    if (this.isStopped) return;
    if (seen !== undefined) {
      const atMs = now();
      const { endpoints: views, processes } = seen;
      if (this.last !== undefined) {
        for (const mark of changesBetween(this.last, { atMs, views })) note(mark);
        for (const mark of processChanges(this.last.processes, processes, atMs)) note(mark);
      }
      // A later change may already have happened while the answers were on their way. A sidecar that is away says nothing.
      const kept = (this.last?.processes ?? []).filter(
        ({ replica }) => !processes.some((each) => each.replica === replica),
      );
      this.last = { atMs: askedMs, views, processes: [...processes, ...kept] };
    }
    this.timer = setTimeout(() => void this.look(), POLL_MS);
  }
}
