/**
 * All drills with all arms, one after the other: two at once would share the cores of the machine, and each would be measured
 * under the load of the other.
 */

import { oneLine } from '../../failure.js';
import type { Arm, ArmWorld } from '../arms/arm.js';
import type { Drill } from '../drills/drill.js';
import type { ArmRun, SkippedArm } from '../history/record.js';
import type { Picture } from '../load/pictures.js';
import { type Ground, runDrill } from './run-drill.js';
import { selectDrills } from './selection.js';
import { openSession, type Session, settle } from './session.js';

export interface RunPlan {
  readonly arms: readonly Arm[];
  readonly drills: readonly Drill[];
  readonly self: readonly string[];
  readonly pictures: readonly Picture[];
  /** How often each drill is run with each arm. */
  readonly repeats: number;
  readonly pace: 'usual' | 'quick';
  /** Rejects when the command was asked to end. */
  sleep(ms: number): Promise<void>;
  /** Whether it was. */
  isEnding(): boolean;
  /** An arm is being started for the next drills. */
  onStart(arm: Arm): void;
  onDrill(drill: Drill, arm: Arm): void;
  onRun(run: ArmRun): void;
  onSkipped(skipped: SkippedArm): void;
  /** An arm does not start, or a drill could not be run to its end: the others are run. */
  onFailed(failed: SkippedArm): void;
  /** What runs now; undefined: nothing. */
  onSession(session: Session | undefined): void;
}

/**
 * Runs arm after arm, and tells what an arm has nothing for. A run takes minutes: what fails with one arm or in one drill costs none of the
 * others. Rejects when the command was asked to end.
 */
export async function runAll(plan: RunPlan): Promise<void> {
  // Arm after arm, and not drill after drill: a mesh takes seconds to start, and is used for all drills that leave it whole.
  for (const arm of plan.arms) {
    const { parts, untouched } = selectDrills(plan.drills, arm, plan.repeats);
    for (const each of untouched) plan.onSkipped({ ...each, arm: arm.name, isUntouched: true });
    for (const part of parts) await runWith(plan, { arm, ...part });
  }
}

interface Part {
  readonly arm: Arm;
  readonly path: ArmWorld['path'];
  readonly equipment: ArmWorld['equipment'];
  readonly drills: readonly Drill[];
}

async function runWith(plan: RunPlan, part: Part): Promise<void> {
  const { arm, drills } = part;
  let session: Session | undefined;
  const close = async () => {
    await session?.close();
    session = undefined;
    plan.onSession(undefined);
  };
  try {
    for (const [i, drill] of drills.entries()) {
      try {
        if (session !== undefined && !(await settle(session))) await close();
        session ??= await start(plan, part);
      } catch (error) {
        // Those that come after would be started with the same.
        return failed(plan, { arm, drills: drills.slice(i) }, error);
      }
      try {
        plan.onDrill(drill, arm);
        plan.onRun(await runDrill(drill, groundOf(plan, session, i + 1)));
      } catch (error) {
        failed(plan, { arm, drills: [drill] }, error);
        await close();
      }
    }
  } finally {
    await close();
  }
}

async function start(plan: RunPlan, { arm, path, equipment }: Part): Promise<Session> {
  plan.onStart(arm);
  const session = await openSession(arm, { path, equipment, self: plan.self });
  plan.onSession(session);
  return session;
}

/** @param number of the run among those of this session, from 1. */
function groundOf({ pictures, pace, sleep }: RunPlan, session: Session, number: number): Ground {
  const { arm, standing, control, tools, dir } = session;
  return { arm: arm.name, standing, control, tools, dir, number, pictures, pace, sleep: (ms) => sleep(ms) };
}

/** Tells of drills that were not run; a repeated one once. Throws the error where it is the end that was asked for. */
function failed(plan: RunPlan, { arm, drills }: Pick<Part, 'arm' | 'drills'>, error: unknown): void {
  if (plan.isEnding()) throw error;
  const because = oneLine(error);
  for (const drill of new Set(drills.map(({ name }) => name)))
    plan.onFailed({ drill, arm: arm.name, because });
}
