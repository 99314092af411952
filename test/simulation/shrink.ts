/** Makes a failing plan smaller, as long as it breaks the same invariant: the case that a reader can follow. */

import type { CallPlan, Plan } from './plan/plan.js';
import { run } from './run.js';
import { CALM } from './world/sim-net.js';
import { PLAIN } from './world/sim-peer.js';
import type { Finding } from './world/world.js';

/** Whether a plan still fails as it should. */
export type Fails = (plan: Plan) => Promise<boolean>;

/** Fails in the same way: other calls, times and sizes are the same failure, another sentence is not. */
export const failsBy =
  (first: Finding): Fails =>
  async (plan) => {
    const { findings } = await run(plan);
    return findings.some((each) => each.invariant === first.invariant && gistOf(each) === gistOf(first));
  };

function gistOf({ what }: Finding): string {
  return what
    .replace(/^call \d+ \S+ /, '')
    .replace(/"[^"]*"/g, '')
    .replace(/\b\w?[\d.]+/g, '');
}

/** @param runs at most so many. */
export async function shrink(plan: Plan, fails: Fails, runs = 200): Promise<Plan> {
  let left = runs;
  let best = plan;
  const tries = async (next: Plan): Promise<boolean> => {
    if (left <= 0) return false;
    left--;
    if (!(await fails(next).catch(() => false))) return false;
    best = next;
    return true;
  };
  await without(best.faults, async (faults) => tries({ ...best, faults }));
  await without(best.calls, async (calls) => tries({ ...best, calls }));
  await without(best.faults, async (faults) => tries({ ...best, faults }));
  await tries({ ...best, links: { local: CALM, mesh: { ...CALM, delayMs: 0.1 } } });
  await tries({ ...best, replicas: best.replicas.map((each) => ({ ...each, quirks: PLAIN })) });
  await tries({ ...best, callers: best.callers.map((each) => ({ ...each, quirks: PLAIN, connections: 1 })) });
  for (const simpler of SIMPLER) await tries({ ...best, calls: best.calls.map(simpler) });
  await withoutOptions(() => best, tries);
  await without(best.calls, async (calls) => tries({ ...best, calls }));
  return best;
}

const SIMPLER: readonly ((call: CallPlan) => CallPlan)[] = [
  (call) => ({ ...call, cancelAfterMs: 0 }),
  (call) => ({ ...call, timeoutMs: 0 }),
  (call) => ({ ...call, reader: { kind: 'eager' } }),
  (call) => ({ ...call, modelReader: { kind: 'eager' } }),
  (call) => ({ ...call, metadata: {} }),
  (call) => ({ ...call, request: call.request.map((size) => Math.min(size, 100)) }),
  (call) => ({ ...call, response: call.response.map((size) => Math.min(size, 100)) }),
  (call) => ({ ...call, request: call.request.slice(0, 2), response: call.response.slice(0, 2) }),
  (call) => ({ ...call, requestGapMs: 0, responseGapMs: 0 }),
];

/** Leaves out halves, quarters and so on of a list, and last single items. */
async function without<T>(
  list: readonly T[],
  fails: (rest: readonly T[]) => Promise<boolean>,
): Promise<void> {
  let kept = list;
  for (let size = Math.ceil(kept.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < kept.length; ) {
      const rest = [...kept.slice(0, at), ...kept.slice(at + size)];
      if (await fails(rest)) kept = rest;
      else at += size;
    }
  }
}

/** Options that a file can do without, one after the other. */
async function withoutOptions(best: () => Plan, tries: (plan: Plan) => Promise<boolean>): Promise<void> {
  const names = new Set<string>();
  for (const { file } of [...best().replicas, ...best().callers]) collect(file, names);
  for (const name of names) {
    const plan = best();
    await tries({
      ...plan,
      replicas: plan.replicas.map((each) => ({ ...each, file: leftOut(each.file, name) as object })),
      callers: plan.callers.map((each) => ({ ...each, file: leftOut(each.file, name) as object })),
    });
  }
}

const NEEDED = new Set(
  'service instance identity cert key roots inbound outbound upstreams listen local endpoints methods kind intentions from to action'.split(
    ' ',
  ),
);

function collect(value: unknown, names: Set<string>): void {
  if (typeof value !== 'object' || value === null) return;
  for (const [name, inner] of Object.entries(value)) {
    if (!Array.isArray(value) && !NEEDED.has(name)) names.add(name);
    // The names there are not options.
    if (name === 'upstreams') for (const each of Object.values(inner as object)) collect(each, names);
    else collect(inner, names);
  }
}

function leftOut(value: unknown, name: string): unknown {
  if (Array.isArray(value)) return value.map((each) => leftOut(each, name));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => key !== name)
      .map(([key, inner]) => [key, leftOut(inner, name)]),
  );
}
