/**
 * One drill with one arm: load, fault, recovery, and everything that was seen of it. The clients, the clock and the checker are the
 * same for all arms; only what stands between clients and models differs.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { present } from '../../../config/present.js';
import { attempt } from '../../../runtime/attempt.js';
import { REPLICAS, type Standing, VICTIM } from '../arms/arm.js';
import type { ControlServer } from '../control-server.js';
import { type Drill, type Stage, timesOf } from '../drills/drill.js';
import type { Tools } from '../faults/tools.js';
import type { ArmName, ArmRun, MarkRecord } from '../history/record.js';
import { USUAL_DEADLINES } from '../load/client.js';
import { Load, USUAL_RATES } from '../load/load.js';
import { even } from '../load/open-load.js';
import type { Picture } from '../load/pictures.js';
import { readExecutions } from '../models/execution-log.js';
import { replicaName } from '../protocol/behaviour.js';
import { CpuMeter } from './cpu.js';
import { processMark } from './observer.js';
import { markerOf, recordDrill } from './record-drill.js';

const CPU_LOOK_MS = 500;
/** Ten times as often as an ejection takes to be noticed by a person; a page of `/endpoints` costs a sidecar under a millisecond. */
const LOOK_MS = 50;

export interface Ground {
  readonly arm: ArmName;
  readonly standing: Standing;
  readonly control: ControlServer;
  readonly tools: Tools;
  /** Folder of the models' logs. */
  readonly dir: string;
  readonly pictures: readonly Picture[];
  /** Number of this run among those with these models, from 1. */
  readonly number: number;
  readonly pace: 'usual' | 'quick';
  /** Rejects when the command was asked to end. */
  sleep(ms: number): Promise<void>;
}

/** Runs the drill. Rejects when the arm does not answer before the fault. */
export async function runDrill(drill: Drill, ground: Ground): Promise<ArmRun> {
  const { arm, standing, control, tools, pictures, number, sleep } = ground;
  const { steadyMs, faultMs, healedMs } = timesOf(drill, ground.pace);
  const deadlines = { ...USUAL_DEADLINES, ...drill.deadlines };
  // A load of its own for each drill: connections, balancers and retry budgets begin anew for clients of every arm.
  const load = new Load({ drill: drill.name, arm, number, standing, pictures, deadlines });
  const marks: MarkRecord[] = [];
  const mark = markerOf(marks, { now: () => load.now() });
  const { endpoints } = standing;
  const undo: (() => Promise<void>)[] = [];
  const stage: Stage = {
    ...{ standing, control, load, tools, sleep, victim: VICTIM },
    later: (step) => void undo.unshift(step),
    mark: (kind, text, replica) => mark(kind, text, replica === undefined ? undefined : replicaName(replica)),
  };
  try {
    await load.warm();
    // Counted from here on: what starting and warming up cost is not the drill's.
    const cpu = startCpu(standing);
    const attemptsBefore = await standing.attempts?.();
    control.onEvent = (event) => void marks.push(processMark(event, load.now()));
    const recorded = await recordDrill({
      ...{ drill, arm, load, marks, victim: replicaName(VICTIM) },
      paces: even({ ...USUAL_RATES, ...drill.rates }),
      ...(endpoints && { watch: { everyMs: LOOK_MS, look: async () => ({ endpoints: await endpoints() }) } }),
      calm: () => sleep(steadyMs),
      strike: async () => {
        await drill.begin(stage);
        await sleep(faultMs);
      },
      undo: () => undoAll([...undo, async () => drill.end?.(stage)]),
      heal: () => sleep(healedMs),
    });
    const attemptsAfter = await standing.attempts?.().catch(() => undefined);
    return {
      ...recorded,
      replicas: REPLICAS.map(replicaName),
      ...present('isHarmless', drill.isHarmless),
      executions: executionsOf(ground.dir, load.zeroMs, new Set(recorded.calls.map(({ id }) => id))),
      ...present('cpuMs', cpu()),
      ...(attemptsBefore !== undefined &&
        attemptsAfter !== undefined && { attempts: attemptsAfter - attemptsBefore }),
    };
  } finally {
    control.onEvent = () => {};
    load.close();
  }
}

/** Runs each of them, also after one that fails. @throws of the first that does. */
async function undoAll(steps: readonly (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const step of steps) await step().catch((error: unknown) => void failures.push(error));
  if (failures.length > 0) throw failures[0];
}

/** CPU time of what stands between clients and models; of this process where nothing does. */
function startCpu({ pids }: Standing): () => number | undefined {
  if (pids === undefined) {
    const before = process.cpuUsage();
    return () => {
      const { user, system } = process.cpuUsage(before);
      return (user + system) / 1_000;
    };
  }
  // Sidecars restart in some drills: what a process used until its last look counts.
  const meter = new CpuMeter(pids());
  const timer = setInterval(() => meter.look(pids()), CPU_LOOK_MS);
  timer.unref();
  return () => {
    clearInterval(timer);
    meter.look(pids());
    return meter.total;
  };
}

/** Those of the calls of this drill. */
function executionsOf(dir: string, zeroMs: number, ids: ReadonlySet<string>) {
  return REPLICAS.map(replicaName).flatMap((replica) => {
    const text = attempt(() => readFileSync(join(dir, `${replica}.log`), 'utf8'), '');
    return readExecutions(text, replica, zeroMs).filter(({ callId }) => ids.has(callId));
  });
}
