/** Watches what happens meanwhile: endpoints that leave and enter the choice of the caller's side, and processes of models. */

import type { EndpointView } from '../arms/arm.js';
import type { ProcessEvent } from '../control-server.js';
import type { MarkRecord } from '../history/record.js';
import { replicaName } from '../protocol/behaviour.js';

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

export interface ProcessView {
  readonly replica: string;
  readonly pid: number | undefined;
  readonly isReady: boolean;
  readonly why: string;
}

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

export interface Look {
  readonly endpoints: readonly EndpointView[];
  /** Absent: their begins and ends are told otherwise. */
  readonly processes?: readonly ProcessView[];
}

/** What was seen, and of what was not seen now what was known before. */
function withThoseAway<Of extends { readonly replica: string }>(
  seen: readonly Of[],
  before: readonly Of[] = [],
): readonly Of[] {
  const away = before.filter((known) => !seen.some(({ replica }) => replica === known.replica));
  return [...seen, ...away];
}

export interface ObserverPlan {
  readonly everyMs: number;
  look(): Promise<Look>;
  /** Ms of the run. */
  now(): number;
  note(mark: MarkRecord): void;
}

/** Looks until it is stopped. A look that fails is passed over: what is looked at may be away. */
export class Observer {
  private last: (EndpointLook & { readonly processes: readonly ProcessView[] }) | undefined;
  private timer: NodeJS.Timeout | undefined;
  private isStopped = false;

  constructor(private readonly plan: ObserverPlan) {}

  start(): void {
    void this.look();
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
  }

  private async look(): Promise<void> {
    const { plan } = this;
    const askedMs = plan.now();
    const seen = await plan.look().catch(() => undefined);
    if (this.isStopped) return;
    if (seen !== undefined) this.compare(seen, askedMs);
    this.timer = setTimeout(() => void this.look(), plan.everyMs);
  }

  /** @param askedMs when the look began: a later change may have happened while the answer was on its way. */
  private compare({ endpoints: views, processes = [] }: Look, askedMs: number): void {
    const { last, plan } = this;
    const atMs = plan.now();
    if (last !== undefined) {
      const marks = [
        ...changesBetween(last, { atMs, views }),
        ...processChanges(last.processes, processes, atMs),
      ];
      for (const mark of marks) plan.note(mark);
    }
    // A sidecar that is away says nothing, and a registry that has lost an endpoint says nothing of it until it is registered again.
    this.last = {
      atMs: askedMs,
      views: withThoseAway(views, last?.views),
      processes: withThoseAway(processes, last?.processes),
    };
  }
}
