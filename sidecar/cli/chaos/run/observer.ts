/** Watches what happens meanwhile: endpoints that leave and enter the choice of the caller's side, and processes of models. */

import type { EndpointView, Standing } from '../arms/arm.js';
import type { ProcessEvent } from '../control-server.js';
import type { MarkRecord } from '../history/record.js';
import { replicaName } from '../protocol/behaviour.js';
import { RepeatedLook } from './repeated-look.js';

/** Ten times as often as an ejection takes to be noticed by a person; a page of `/endpoints` costs a sidecar under a millisecond. */
const POLL_MS = 50;

/** The changes between two looks at the endpoints. */
export interface EndpointLook {
  readonly atMs: number;
  readonly views: readonly EndpointView[];
}

/**
 * Marks for what changed. An endpoint left at the later look at the latest, and came back after the earlier one at the earliest:
 * with these times no arm is blamed for what lies between two looks.
 */
export function changesBetween(before: EndpointLook, after: EndpointLook): MarkRecord[] {
  return after.views.flatMap((now): MarkRecord[] => {
    const was = before.views.find(({ replica }) => replica === now.replica);
    if (was === undefined || was.isIn === now.isIn) return [];
    const { replica, why } = now;
    return now.isIn
      ? [{ atMs: before.atMs, kind: 'restored', replica, text: `${replica} takes calls again` }]
      : [{ atMs: after.atMs, kind: 'ejected', replica, text: `${replica} is taken out: ${why}` }];
  });
}

/** The mark for the begin or the end of a model process. */
export function processMark({ kind, replica, pid }: ProcessEvent, atMs: number): MarkRecord {
  const name = replicaName(replica);
  return kind === 'gone'
    ? { atMs, kind: 'died', replica: name, text: `the model of ${name} ended (process ${pid})` }
    : { atMs, kind: 'restarted', replica: name, text: `the model of ${name} serves (process ${pid})` };
}

/** Looks at the endpoints until it is stopped. */
export function observeEndpoints(
  endpoints: NonNullable<Standing['endpoints']>,
  now: () => number,
  note: (mark: MarkRecord) => void,
): RepeatedLook<readonly EndpointView[]> {
  let last: EndpointLook | undefined;
  return new RepeatedLook({
    everyMs: POLL_MS,
    look: endpoints,
    now,
    seen: (views, askedMs) => {
      if (last !== undefined) for (const mark of changesBetween(last, { atMs: now(), views })) note(mark);
      last = { atMs: askedMs, views };
    },
  });
}
