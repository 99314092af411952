/** What the rows of the table of decisions have in common: a mesh under load that is broken and judged. */

import { findExecutedTwice, indexRun } from '../../../sidecar/cli/chaos/history/executions.js';
import { callUnary } from '../../../sidecar/cli/chaos/protocol/call.js';
import { idOfCall, type Load, type LoadOptions, type SentCall } from '../faults/load.js';
import { ONCE } from '../faults/model-protocol.js';
import type { Row, Suite, Trial } from '../faults/row.js';
import { DecisionMesh, type MeshPlan } from './mesh.js';

/** Nothing is shared: every row opens the mesh that it breaks. */
export type DecisionWorld = Record<string, never>;
export type DecisionRow = Row<DecisionWorld>;

/** Rows each of which opens what it breaks. */
export function suiteOf(about: Pick<Suite<DecisionWorld>, 'name' | 'title' | 'rows'>): Suite<DecisionWorld> {
  return { ...about, open: async () => ({}), close: async () => {} };
}

export interface Drill {
  readonly mesh: DecisionMesh;
  readonly load: Load;
  readonly trial: Trial;
}

export interface DrillSpec {
  /** For `--only`. */
  readonly name: string;
  /** What goes wrong, for people. */
  readonly fault: string;
  /** Default: three replicas, as `MeshPlan` says. */
  readonly plan?: MeshPlan | ((trial: Trial) => MeshPlan);
  /** Of the calls that go through meanwhile. */
  readonly load?: Partial<LoadOptions>;
  /** Breaks the mesh and judges it while calls go through. */
  readonly work: (drill: Drill) => Promise<void>;
}

/** A row that opens a mesh of its own. */
export function drillRow({ name, fault, plan = {}, load, work }: DrillSpec): DecisionRow {
  const planFor = (trial: Trial) => (typeof plan === 'function' ? plan(trial) : plan);
  return { name, fault, run: (_, trial) => drill(trial, planFor(trial), work, load) };
}

export async function drill(
  trial: Trial,
  plan: MeshPlan,
  work: (drill: Drill) => Promise<void>,
  options: Partial<LoadOptions> = {},
): Promise<void> {
  const mesh = await DecisionMesh.open(plan);
  try {
    const load = await mesh.load(options);
    await trial.under(load, () => work({ mesh, load, trial }));
  } finally {
    await mesh.close();
  }
}

/** Time from `fromMs` to the end of the last of these calls that failed, ms; 0 when none did. */
export function recoveryMs(calls: readonly SentCall[], fromMs: number): number {
  const failed = calls.filter(({ failure }) => failure !== undefined);
  return Math.max(0, ...failed.map(({ endMs }) => endMs - fromMs));
}

/** A share as text, such as `12.5 %`. */
export function percentOf(part: number, whole: number): string {
  return `${((100 * part) / Math.max(1, whole)).toFixed(1)} %`;
}

/** Load of calls that must not be made twice. */
export const ONCE_LOAD: Partial<LoadOptions> = {
  ...{ perSecond: 50, isOnce: true },
  ask: (client, n, done) =>
    callUnary(client, ONCE, { request: Buffer.from(idOfCall(n)), deadlineMs: 1_000 }, done),
};

/** Such calls that were made twice all the same. Those that were answered are in the logs of the models, or the trial is not kept. */
export function repeatedCalls({ models }: DecisionMesh, load: Load, trial: Trial): number {
  const { calls } = load;
  const executions = models.flatMap((model) => model.runs());
  trial.check(load, calls, executions);
  return findExecutedTwice({ calls }, indexRun({ calls, executions })).length;
}
