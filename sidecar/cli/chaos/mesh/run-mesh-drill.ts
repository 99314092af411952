/**
 * One drill on a running mesh. In this order: the mesh is whole, the golden input is answered, the load begins, and the fault comes only
 * after a calm part after which the mesh is still whole.
 */

import type { Client } from '@grpc/grpc-js';
import { systemClock } from '../../../runtime/time/clock.js';
import { CommandFailure } from '../../failure.js';
import type { ArmRun, MarkRecord } from '../history/record.js';
import { even } from '../load/open-load.js';
import { markerOf, recordDrill, Stopped } from '../run/record-drill.js';
import type { MeshControl } from './control.js';
import type { GoldenInput } from './golden-input.js';
import { GoldenLoad } from './golden-load.js';
import { AvailabilityGuard, untilCalm, untilWhole, type Watch } from './guard.js';
import type { Members, Replica } from './members.js';
import { FAULT_MS, type MeshDrill } from './mesh-drills.js';

const STEADY_MS = 2_000;
const HEALED_MS = 5_000;
/** What `--quick` allows each part at most. */
const QUICK_MS = 1_500;
const POLL_MS = 100;
/** Each look asks every sidecar for a page, which takes it a millisecond. */
const LOOK_MS = 100;

export interface MeshGround {
  readonly members: Members;
  readonly control: MeshControl;
  readonly client: Client;
  readonly input: GoldenInput;
  readonly perSecond: number;
  /** Share of the calls of the last 2 s that has to be answered well. */
  readonly leastAvailable: number;
  readonly pace: 'usual' | 'quick';
  /** Rejects when the command was asked to end. */
  sleep(ms: number): Promise<void>;
}

/**
 * Runs the drill.
 *
 * @throws CommandFailure where the mesh is not whole before it, or does not answer: nothing was done then. Refused where a sidecar
 * does not do what the drill asks for.
 */
export async function runMeshDrill(drill: MeshDrill, victim: Replica, ground: MeshGround): Promise<ArmRun> {
  const { members, control, client, input, perSecond, leastAvailable, pace } = ground;
  const part = (ms: number) => (pace === 'quick' ? Math.min(ms, QUICK_MS) : ms);
  await untilWhole(watchOf(ground));
  const guard = new AvailabilityGuard(leastAvailable);
  const load = new GoldenLoad({ drill: drill.name, client, input, guard });
  const marks: MarkRecord[] = [];
  const mark = markerOf(marks, { now: () => load.now() });
  const faultMs = part(drill.faultMs ?? FAULT_MS);
  const sleep = (ms: number) => watched(ms, load, ground);
  const watch = watchOf({ control, sleep });
  try {
    const problem = await load.warm();
    if (problem !== undefined) throw new CommandFailure(`${drill.name}: not started: ${problem}`);
    const recorded = await recordDrill({
      ...{ drill, arm: 'outrider', load, marks, paces: even({ golden: perSecond }) },
      ...(drill.name !== 'rolling-restart' && { victim: victim.name }),
      watch: { everyMs: LOOK_MS, look: () => control.look() },
      calm: async () => {
        const notNow = await untilCalm(watch, part(STEADY_MS));
        if (notNow !== undefined) throw new Stopped(`before the fault, ${notNow}`);
        // Another command may have begun since: two replicas would suffer at once, and each command would end the faults of the other.
        const busy = await control.busy();
        if (busy.length > 0)
          throw new CommandFailure(
            `faults of another command are on at ${busy.join(', ')}; nothing was done`,
          );
      },
      strike: async () => {
        const { replicas } = members;
        const stage = { control, replicas, victim, usualMs: load.usualMs, faultMs, mark, sleep };
        await drill.begin({ ...stage, untilWhole: () => untilWhole(watch) });
        await sleep(faultMs);
      },
      undo: async () => void (await Promise.all(members.replicas.map((each) => control.clear(each)))),
      heal: () => ground.sleep(part(HEALED_MS)),
    });
    return {
      ...{ ...recorded, executions: [], hasNoExecutions: true },
      replicas: members.replicas.map(({ name }) => name),
    };
  } finally {
    load.close();
  }
}

/** Sleeps in short pieces, and rejects when the drill has to stop. */
async function watched(ms: number, load: GoldenLoad, ground: Pick<MeshGround, 'sleep'>): Promise<void> {
  const endMs = systemClock.now() + ms;
  for (let leftMs = ms; leftMs > 0; leftMs = endMs - systemClock.now()) {
    await ground.sleep(Math.min(leftMs, POLL_MS));
    const why = load.whyStop();
    if (why !== undefined) throw new Stopped(why);
  }
}

export function watchOf({ control, sleep }: Pick<MeshGround, 'control' | 'sleep'>): Watch {
  return { look: async () => (await control.look()).facts, sleep, now: () => systemClock.now() };
}
