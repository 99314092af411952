/** More calls than the models can serve, all at once, over and over again, or for longer than memory lasts. */

import { setTimeout as delay } from 'node:timers/promises';
import { fails } from '../../../sidecar/cli/chaos/protocol/behaviour.js';
import { summarize } from '../faults/load.js';
import { failuresOf, type Trial } from '../faults/row.js';
import { type DecisionRow, drill, drillRow, percentOf, recoveryMs } from './drill.js';
import { DecisionMesh, INFER, RETRIED, sumOf } from './mesh.js';

/** Each replica: 4 calls at once, 50 ms each. Three of them serve 240 calls per second. */
const SERVICE_MS = 50;
const PLACES = 4;
const CAPACITY = (3 * PLACES * 1_000) / SERVICE_MS;
const QUEUE = { concurrency: PLACES, max_waiting: 2 };

/** Of calls without the mesh. Where it is great the cores are full, and what a model can serve is not its capacity any more. */
async function latenessMs(trial: Trial, fromMs: number, toMs: number): Promise<number> {
  const late = (await trial.control?.latenessMs(fromMs, toMs)) ?? 0;
  const found = `${late.toFixed(0)} ms`;
  trial.figure('calls without the mesh are late by', found);
  if (late > SERVICE_MS) trial.disturbed ??= `calls without the mesh are late by ${found}`;
  return late;
}

function overload(name: string, times: number): DecisionRow {
  return drillRow({
    name,
    fault: `${times} times as many calls as the replicas can serve`,
    plan: { serviceMs: SERVICE_MS, places: PLACES, inbound: { queue: QUEUE } },
    load: { perSecond: CAPACITY / 3 },
    work: async ({ trial, mesh, load }) => {
      const startMs = performance.now();
      const base = summarize(await load.during(startMs, trial.pick(1_000, 3_000)));
      load.pause();
      const storm = await mesh.load({ perSecond: CAPACITY * times });
      const forMs = trial.pick(2_500, 15_000);
      const fromMs = performance.now();
      await delay(forMs / 2);
      const ready = await Promise.all(mesh.replicas.map(({ sidecar }) => sidecar.page('/ready')));
      const calls = await storm.during(fromMs, forMs);
      storm.pause();
      const served = calls.filter(({ failure }) => failure === undefined);
      const goodput = served.length / (forMs / 1_000) / CAPACITY;
      trial.expect('goodput is at least 90 % of the capacity', goodput >= 0.9, percentOf(goodput, 1));
      // Of so few calls as the short run has, the slowest hundredth is the slowest one.
      const factor = trial.pick(4, 2);
      const p99 = `p99 of what is served is at most ${factor} times what it was`;
      trial.expectP99(p99, served, factor * base.p99Ms);
      const shed = calls.filter(({ failure }) => failure?.startsWith('RESOURCE_EXHAUSTED'));
      const late = await latenessMs(trial, fromMs, fromMs + forMs);
      trial.expectP99('refusals come at once', shed, trial.pick(40, 10) + late);
      const vain = calls.length - served.length - shed.length;
      trial.expect('no call waits for nothing', vain <= calls.length / 100, failuresOf(summarize(calls)));
      const unready = ready.filter(({ status }) => status !== 200).length;
      trial.none('the sidecars stay ready', unready, 'are not');
      load.resume();
      const calmMs = performance.now();
      const limitMs = trial.pick(2_000, 5_000);
      const after = await load.during(calmMs, limitMs + 1_000);
      trial.within('no call fails after the storm', limitMs, recoveryMs(after, calmMs));
    },
  });
}

/** Each replica: one call at once. Callers have 5 s, one attempt has 250 ms of them. */
const VAIN_CAPACITY = (3 * 1_000) / SERVICE_MS;
const VAIN = { serviceMs: SERVICE_MS, places: 1, inbound: { queue: { concurrency: 2, max_waiting: 128 } } };
const HASTY = { ...RETRIED, attempt_timeout: '250ms' } as const;

const inVain = drillRow({
  name: 'in-vain',
  fault: 'twice as many calls as can be served, whose attempts may take a twentieth of their time',
  plan: { ...VAIN, upstream: { routes: [HASTY] } },
  load: { perSecond: VAIN_CAPACITY / 3 },
  work: async ({ trial, mesh, load }) => {
    load.pause();
    const storm = await mesh.load({ perSecond: 2 * VAIN_CAPACITY, deadlineMs: 5_000 });
    const fromMs = performance.now();
    const forMs = trial.pick(3_000, 15_000);
    const calls = await storm.during(fromMs, forMs);
    storm.pause();
    const endMs = performance.now();
    await latenessMs(trial, fromMs, endMs);
    const served = summarize(calls).ok;
    const goodput = served / (forMs / 1_000) / VAIN_CAPACITY;
    trial.figure('served', `${served} of ${calls.length}`);
    trial.expect('goodput is at least 90 % of the capacity', goodput >= 0.9, percentOf(goodput, 1));
    const runs = mesh.runs(fromMs, endMs);
    const vain = sumOf(mesh.models.map((model) => model.cancelled(fromMs, endMs).length));
    const promise = 'fewer than 5 % of the runs are for callers that have gone';
    trial.expect(promise, vain < 0.05 * runs, `${vain} of ${runs}`);
    trial.figure('ejections', `${await mesh.ejections()}`);
  },
});

const SHORT_LINE = { concurrency: 4, max_waiting: 16 };

const herd = drillRow({
  name: 'herd',
  fault: 'all replicas come back at once',
  plan: { places: 4, inbound: { queue: SHORT_LINE }, upstream: { slow_start: {} } },
  work: async ({ trial, mesh, load }) => {
    await delay(trial.pick(500, 2_000));
    await Promise.all(mesh.models.map((model) => model.kill()));
    await delay(trial.pick(1_000, 5_000));
    await Promise.all(mesh.models.map((model) => model.restart()));
    const backMs = performance.now();
    const calls = await load.during(backMs, trial.pick(3_000, 10_000));
    const well = recoveryMs(calls, backMs);
    trial.within('no call fails', 2_000, well);
    const shares = mesh.shares(backMs);
    const all = sumOf(shares);
    const most = Math.max(...shares);
    trial.expect('no replica gets more than 1.5 times its share', most <= all / 2, percentOf(most, all));
  },
});

/** Retries of two tiers would multiply: 1.2 × 1.2 attempts, whatever each budget says. A route has to ask for them. */
const ONE_ATTEMPT = { methods: [INFER], idempotent: true } as const;

const tiers: DecisionRow = {
  name: 'tiers',
  fault: 'three tiers, of which one retries, and the last one fails every call',
  run: async (_, trial) => {
    const back = await DecisionMesh.open({ replicas: 2, upstream: { routes: [RETRIED] } });
    try {
      const front = { replicas: 2, serviceMs: 1, upstream: { routes: [ONE_ATTEMPT] } };
      await drill(trial, front, async ({ mesh, load }) => {
        await mesh.behave({ does: 'ask', target: back.target });
        const askMs = performance.now();
        await delay(trial.pick(500, 3_000));
        await back.behave(fails('trailers'));
        const brokenMs = performance.now();
        const broken = await load.during(brokenMs, trial.pick(5_000, 15_000));
        // Retries are judged from the first question on, as the budget counts what came before.
        const calls = await load.between(askMs);
        const arrived = back.runs(brokenMs) / broken.length;
        trial.expect('every call arrives at the last tier', arrived >= 1, `${arrived.toFixed(2)} times`);
        const extra = back.runs(askMs) / calls.length;
        trial.expect('at most 1.25 attempts for each call', extra <= 1.25, extra.toFixed(2));
        const [middle, edge] = [await back.retries(), await mesh.retries()];
        trial.figure('retries in the middle', percentOf(middle, calls.length));
        trial.figure('at the edge', percentOf(edge, calls.length));
      });
    } finally {
      await back.close();
    }
  },
};

export const OVERLOAD_ROWS: readonly DecisionRow[] = [
  overload('overload-2', 2),
  overload('overload-5', 5),
  inVain,
  herd,
  tiers,
];
