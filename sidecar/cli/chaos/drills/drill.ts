/** What a drill is: one thing that goes wrong while calls are made, and what is done to bring it about. */

import type { Standing } from '../arms/arm.js';
import type { ControlServer } from '../control-server.js';
import type { Equipment, Tools } from '../faults/tools.js';
import type { Wire } from '../faults/wire.js';
import type { ArmName, DrillText, MarkKind } from '../history/record.js';
import type { Deadlines } from '../load/client.js';
import type { Load, Rates } from '../load/load.js';

export interface Stage {
  readonly standing: Standing;
  readonly control: ControlServer;
  readonly load: Load;
  readonly tools: Tools;
  /** The replica that most faults are about. */
  readonly victim: number;
  /** Notes something on the timeline. */
  mark(kind: MarkKind, text: string, replica?: number): void;
  /** Has something undone when the fault is to end, whatever ends it. Undone are first what came last, and then `end`. */
  later(undo: () => Promise<void>): void;
  /** Rejects when the command was asked to end. */
  sleep(ms: number): Promise<void>;
}

export function wiresOf({ standing: { wires }, victim }: Stage, whose: 'victim' | 'all'): readonly Wire[] {
  return whose === 'all' ? wires : [wires[victim - 1]!];
}

/** Lengths of the three parts of a drill, ms. */
export interface Times {
  readonly steadyMs: number;
  readonly faultMs: number;
  readonly healedMs: number;
}

/** Of most drills. */
export const USUAL_TIMES: Times = { steadyMs: 1_500, faultMs: 4_500, healedMs: 4_000 };

/** What `--quick` allows each part at most: a look, and no measurement. */
export const QUICK_TIMES: Times = { steadyMs: 500, faultMs: 1_500, healedMs: 1_500 };

export function timesOf({ times = {} }: Pick<Drill, 'times'>, pace: 'usual' | 'quick'): Times {
  const usual = { ...USUAL_TIMES, ...times };
  if (pace === 'usual') return usual;
  return {
    steadyMs: Math.min(usual.steadyMs, QUICK_TIMES.steadyMs),
    faultMs: Math.min(usual.faultMs, QUICK_TIMES.faultMs),
    healedMs: Math.min(usual.healedMs, QUICK_TIMES.healedMs),
  };
}

export interface Drill extends DrillText {
  /** Whether it is one of the ten that run without `--full`. */
  readonly set: 'standard' | 'full';
  /** The way to the replicas leads over a TCP proxy that can be broken. */
  readonly path?: 'wired';
  /** The kernel drops packets: the whole command runs in a network of its own (own-network.ts). */
  readonly network?: 'own';
  /** It is about the processes between clients and models: an arm without them has nothing that could be drilled. */
  readonly needs?: 'proxies';
  /** Nothing is wrong: the checker counts each ejection and each end of a process as harm. */
  readonly isHarmless?: true;
  /** What an arm is started with for it. Default: nothing more than for most drills. */
  readonly equipment?: Equipment;
  /** Why it cannot be run on this machine, such as a program that is missing; undefined: it can. Default: it can. */
  missing?(): Promise<string | undefined>;
  /** Arms that have nothing which this fault could break, and why: they are not run, and nothing is won against them. */
  readonly untouched?: Readonly<Partial<Record<ArmName, string>>>;
  readonly rates?: Partial<Rates>;
  readonly deadlines?: Partial<Deadlines>;
  readonly times?: Partial<Times>;
  /** Brings the fault about; resolves when it is there. */
  begin(stage: Stage): Promise<void>;
  /** Ends it, after `faultMs`. Default: it ends by itself. */
  end?(stage: Stage): Promise<void>;
}
