/**
 * One drill on a running mesh. In this order: the mesh is whole, the golden input is answered, the load begins, a calm part after
 * which the mesh is still whole, the fault, its end in any case, and the time after it.
 */

import type { Client } from '@grpc/grpc-js';
import { systemClock } from '../../../runtime/time/clock.js';
import { CommandFailure } from '../../failure.js';
import type { ArmRun, MarkRecord } from '../history/record.js';
import { even } from '../load/open-load.js';
import { Observer } from '../run/observer.js';
import type { MeshControl } from './control.js';
import type { GoldenInput } from './golden-input.js';
import { GoldenLoad } from './golden-load.js';
import { AvailabilityGuard, untilCalm, untilWhole, type Watch } from './guard.js';
import type { Members, Replica } from './members.js';
import { FAULT_MS, type MeshDrill, type MeshStage } from './mesh-drills.js';

const STEADY_MS = 2_000;
const HEALED_MS = 5_000;
/** What `--quick` allows each part at most. */
const QUICK_MS = 1_500;
const POLL_MS = 100;
/** Each look asks every sidecar for a page, which takes it a millisecond. */
const LOOK_MS = 100;

/** A drill is stopped before its time, for the sake of the mesh. */
class Stopped extends Error {}

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
  const note = (mark: MarkRecord) => void marks.push(mark);
  const observer = new Observer({
    everyMs: LOOK_MS,
    look: () => control.look(),
    now: () => load.now(),
    note,
  });
  const mark: MeshStage['mark'] = (kind, text, replica) =>
    note({ atMs: load.now(), kind, text, ...(replica !== undefined && { replica }) });
  const sleep = (ms: number) => watched(ms, load, ground);
  const watch = watchOf({ control, sleep });
  try {
    const problem = await load.warm();
    if (problem !== undefined) throw new CommandFailure(`${drill.name}: not started: ${problem}`);
    load.start(even({ golden: perSecond }));
    observer.start();
    let stopped: string | undefined;
    let isBegun = false;
    try {
      const notNow = await untilCalm(watch, part(STEADY_MS));
      if (notNow !== undefined) throw new Stopped(`before the fault, ${notNow}`);
      // Another command may have begun since: two replicas would suffer at once, and each command would end the faults of the other.
      const busy = await control.busy();
      if (busy.length > 0)
        throw new CommandFailure(`faults of another command are on at ${busy.join(', ')}; nothing was done`);
      isBegun = true;
      const faultMs = part(drill.faultMs ?? FAULT_MS);
      mark('fault-began', drill.title, drill.name === 'rolling-restart' ? undefined : victim.name);
      const usualMs = load.usualMs;
      const stage = { control, replicas: members.replicas, victim, usualMs, faultMs, mark, sleep };
      await drill.begin({ ...stage, untilWhole: () => untilWhole(watch) });
      await sleep(faultMs);
    } catch (error) {
      if (!(error instanceof Stopped)) throw error;
      stopped = error.message;
      mark('note', `stopped: ${stopped}`);
    } finally {
      // Also when the command is asked to end meanwhile.
      if (isBegun) {
        await Promise.all(members.replicas.map((replica) => control.clear(replica)));
        mark('fault-ended', 'the fault is over');
      }
    }
    await ground.sleep(part(HEALED_MS));
    const { calls, lagMs, seconds } = await load.stop();
    return {
      ...{ drill: drill.name, arm: 'outrider', seconds, calls, clientLagMs: lagMs, marks, executions: [] },
      ...{ hasNoExecutions: true, replicas: members.replicas.map(({ name }) => name) },
      ...(stopped !== undefined && { stopped }),
    };
  } finally {
    observer.stop();
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

function watchOf({ control, sleep }: Pick<MeshGround, 'control' | 'sleep'>): Watch {
  return { look: async () => (await control.look()).facts, sleep, now: () => systemClock.now() };
}
