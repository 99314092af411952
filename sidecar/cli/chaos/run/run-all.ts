/**
 * All drills with all arms, one after the other: two at once would share the cores of the machine, and each would be measured
 * under the load of the other.
 */

import type { Arm, ArmWorld } from '../arms/arm.js';
import type { Drill } from '../drills/drill.js';
import type { ArmRun, SkippedArm } from '../history/record.js';
import type { Picture } from '../load/pictures.js';
import { runDrill } from './run-drill.js';
import { selectDrills } from './selection.js';
import { openSession, type Session, settle } from './session.js';

/** What is run, and how it is told of. */
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
  /** An arm is being started for the next drills. */
  onStart(arm: Arm): void;
  onDrill(drill: Drill, arm: Arm): void;
  onRun(run: ArmRun): void;
  onSkipped(skipped: SkippedArm): void;
  /** What runs now; undefined: nothing. */
  onSession(session: Session | undefined): void;
}

/** Runs arm after arm, and tells what an arm has nothing for. Rejects when the command was asked to end. */
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

async function runWith(plan: RunPlan, { arm, path, equipment, drills }: Part): Promise<void> {
  let session: Session | undefined;
  const close = async () => {
    await session?.close();
    session = undefined;
    plan.onSession(undefined);
  };
  try {
    for (const [i, drill] of drills.entries()) {
      if (session !== undefined && !(await settle(session))) await close();
      if (session === undefined) {
        plan.onStart(arm);
        session = await openSession(arm, { path, equipment, self: plan.self });
        plan.onSession(session);
      }
      plan.onDrill(drill, arm);
      const { standing, control, tools, dir } = session;
      const ground = {
        arm: arm.name,
        standing,
        control,
        tools,
        dir,
        number: i + 1,
        pictures: plan.pictures,
        pace: plan.pace,
        sleep: plan.sleep,
      };
      plan.onRun(await runDrill(drill, ground));
    }
  } finally {
    await close();
  }
}
