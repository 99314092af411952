/** Looks at a running mesh while a drill lasts: endpoints that leave and enter the choice of the caller, and model processes. */

import type { MarkRecord } from '../history/record.js';
import { changesBetween, type EndpointLook } from '../run/observer.js';
import { RepeatedLook } from '../run/repeated-look.js';
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
export function observeMesh({ look, now, note }: MeshObserverDeps): RepeatedLook<MeshLook> {
  let last: (EndpointLook & Pick<MeshLook, 'processes'>) | undefined;
  return new RepeatedLook({
    everyMs: POLL_MS,
    look,
    now,
    seen: ({ endpoints: views, processes }, askedMs) => {
      const atMs = now();
      if (last !== undefined) {
        for (const mark of changesBetween(last, { atMs, views })) note(mark);
        for (const mark of processChanges(last.processes, processes, atMs)) note(mark);
      }
      // A sidecar that is away says nothing.
      const kept = (last?.processes ?? []).filter(
        ({ replica }) => !processes.some((each) => each.replica === replica),
      );
      last = { atMs: askedMs, views, processes: [...processes, ...kept] };
    },
  });
}
