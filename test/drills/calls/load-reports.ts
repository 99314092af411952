/** Replicas that say something else of their load than what it is. */

import { type DecisionRow, type Drill, drillRow, percentOf } from '../decisions/drill.js';
import { RETRIED, sumOf, targetOf } from '../decisions/mesh.js';
import { summarize } from '../faults/load.js';
import { LIES, type Lie } from '../faults/load-lies.js';
import type { Trial } from '../faults/row.js';

const SERVICE_MS = 40;
const PLACES = 2;
const CALLERS = 4;
/** Half of what the three replicas can serve. */
const PER_SECOND = (3 * PLACES * 1_000) / SERVICE_MS / 2;

/** The callers dial the models themselves, so that what is reported is not what a sidecar of ours has counted. */
const OPEN = { mtls: 'off', default_intention: 'allow' };
const PLAN = {
  ...{ serviceMs: SERVICE_MS, places: PLACES, inbound: OPEN },
  upstream: { tls: 'plaintext', routes: [RETRIED] },
} as const;

const lyingLoad: DecisionRow = drillRow({
  name: 'lying-load',
  fault:
    'one replica of three lies about its load: no calls, NaN, a negative number, 10^300, two formats at once, a megabyte',
  plan: PLAN,
  load: { perSecond: 1 },
  work: async ({ mesh, trial }) => {
    await mesh.behave({ does: 'report', says: 'truth' });
    const loads = await Promise.all(
      Array.from({ length: CALLERS }, async () => {
        const caller = await mesh.startCaller(mesh.models.map(({ address }) => address));
        return mesh.load({ target: targetOf(caller), perSecond: PER_SECOND / CALLERS, deadlineMs: 5_000 });
      }),
    );
    const forMs = trial.pick(2_000, 10_000);
    const honest = await during(mesh, loads, forMs);
    trial.figure('p99 while all are honest', `${honest.p99Ms.toFixed(0)} ms`);
    for (const says of LIES) {
      await mesh.models[0]!.behave({ does: 'report', says });
      judge(trial, says, await during(mesh, loads, forMs), honest.p99Ms);
    }
    await mesh.models[0]!.behave({ does: 'report', says: 'truth' });
    trial.expect(
      'every sidecar runs',
      mesh.bench.processes.every(({ isRunning }) => isRunning),
      'all',
    );
    for (const load of loads) await load.stop();
  },
});

interface Found {
  readonly failed: number;
  readonly p99Ms: number;
  readonly runs: readonly number[];
}

async function during(mesh: Drill['mesh'], loads: readonly Drill['load'][], forMs: number): Promise<Found> {
  const fromMs = performance.now();
  const calls = (await Promise.all(loads.map((load) => load.during(fromMs, forMs)))).flat();
  const { failed, p99Ms } = summarize(calls);
  return { failed, p99Ms, runs: mesh.shares(fromMs, fromMs + forMs) };
}

/** What no lie may bring about. */
function judge(trial: Trial, says: Lie, { failed, p99Ms, runs }: Found, honestMs: number): void {
  const [liar = 0] = runs;
  const all = sumOf(runs);
  trial.none(`${says}: no call fails`, failed, 'calls');
  trial.expect(
    `${says}: it gets at most twice its share`,
    liar <= (2 * all) / runs.length,
    percentOf(liar, all),
  );
  const limitMs = Math.max(4 * honestMs, 10 * SERVICE_MS);
  trial.expect(
    `${says}: p99 is at most ${limitMs.toFixed(0)} ms`,
    p99Ms <= limitMs,
    `${p99Ms.toFixed(0)} ms`,
  );
}

export const LOAD_REPORT_ROWS = [lyingLoad] as const;
