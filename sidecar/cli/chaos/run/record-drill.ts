/**
 * What every drill has in common, on a mesh of its own and on one that runs already: load, a calm part, the fault, its end in any case, the
 * time after it, and all that was seen meanwhile.
 */

import { present } from '../../../config/present.js';
import type { ArmName, ArmRun, CallRecord, DrillText, MarkKind, MarkRecord } from '../history/record.js';
import type { EndedLoad, OpenLoad, Paces } from '../load/open-load.js';
import { Observer, type ObserverPlan } from './observer.js';

/** A drill is stopped before its time, for the sake of the mesh. */
export class Stopped extends Error {}

export interface DrillPlan<Kind extends string> {
  readonly drill: Pick<DrillText, 'name' | 'title'>;
  readonly arm: ArmName;
  readonly load: Pick<OpenLoad<Kind, CallRecord>, 'now' | 'start'> & {
    stop(): Promise<EndedLoad<CallRecord>>;
  };
  readonly paces: Paces<Kind>;
  /** Gets what happens, beside what the steps note there. */
  readonly marks: MarkRecord[];
  /** What is looked at meanwhile. Absent: nothing can be. */
  readonly watch?: Pick<ObserverPlan, 'everyMs' | 'look'>;
  /** The replica that the fault is about; absent: it is about several. */
  readonly victim?: string;
  /** Resolves when the fault may begin. Rejects: nothing is done. */
  calm(): Promise<void>;
  /** Brings the fault about; resolves when it is to end. */
  strike(): Promise<void>;
  /** Ends it, whatever has become of it. */
  undo(): Promise<void>;
  /** The time after it. */
  heal(): Promise<void>;
}

/** Notes what happens now. */
export type Marker = (kind: MarkKind, text: string, replica?: string) => void;

export function markerOf(marks: MarkRecord[], { now }: { now(): number }): Marker {
  return (kind, text, replica) =>
    void marks.push({ atMs: now(), kind, text, ...present('replica', replica) });
}

/** Runs the drill; the load is warm, and closed by the caller. */
export async function recordDrill<Kind extends string>(plan: DrillPlan<Kind>) {
  const { drill, arm, load, marks, watch } = plan;
  const now = () => load.now();
  const observer = watch && new Observer({ ...watch, now, note: (mark) => void marks.push(mark) });
  load.start(plan.paces);
  observer?.start();
  try {
    const stopped = await struck(plan, markerOf(marks, { now }));
    await plan.heal();
    // Calls of the last moment end after it; what never ends is found here.
    const { calls, lagMs, seconds } = await load.stop();
    return {
      ...{ drill: drill.name, arm, seconds, calls, clientLagMs: lagMs, marks },
      ...present('stopped', stopped),
    } satisfies Partial<ArmRun>;
  } finally {
    observer?.stop();
  }
}

/** @returns why it was stopped before its time; undefined: it was not. */
async function struck<Kind extends string>(
  { drill, victim, calm, strike, undo }: DrillPlan<Kind>,
  mark: Marker,
): Promise<string | undefined> {
  let isBegun = false;
  try {
    await calm();
    isBegun = true;
    mark('fault-began', drill.title, victim);
    await strike();
    return undefined;
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
    mark('note', `stopped: ${error.message}`);
    return error.message;
  } finally {
    // Also when the command is asked to end meanwhile: a frozen process would outlive it otherwise.
    if (isBegun) {
      await undo();
      mark('fault-ended', 'the fault is over', victim);
    }
  }
}
