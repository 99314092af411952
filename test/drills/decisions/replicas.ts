/** Replicas that die, hang, are slow or fail. */

import { setTimeout as delay } from 'node:timers/promises';
import {
  type FailureForm,
  fails,
  POISON_PREFIX,
  WELL,
} from '../../../sidecar/cli/chaos/protocol/behaviour.js';
import type { EndpointReport } from '../../../sidecar/telemetry/reports.js';
import { REQUEST, summarize } from '../faults/load.js';
import { measure, seconds } from '../faults/times.js';
import {
  type DecisionRow,
  type DrillSpec,
  drillRow,
  ONCE_LOAD,
  percentOf,
  recoveryMs,
  repeatedCalls,
} from './drill.js';
import { IMPATIENT, type MeshPlan, mostOf, RETRIED, sumOf } from './mesh.js';

const ONCE_ROUTE = {
  methods: ['/faults.Model/Once'],
  kind: 'unary',
  retry: { attempts: 2, on: [] },
} as const;

/** Of models that take longer in the full run. */
function row({ plan, ...spec }: Omit<DrillSpec, 'plan'> & { readonly plan?: MeshPlan }): DecisionRow {
  return drillRow({ ...spec, plan: (trial) => ({ serviceMs: trial.pick(20, 50), ...plan }) });
}

const killed = row({
  name: 'killed',
  fault: 'one replica of three is killed, its sidecar and its model',
  plan: { upstream: { routes: [RETRIED, ONCE_ROUTE] } },
  work: async ({ trial, mesh, load }) => {
    const once = await mesh.load(ONCE_LOAD);
    await delay(trial.pick(500, 2_000));
    const [victim] = mesh.replicas;
    const fromMs = performance.now();
    await mesh.kill(victim!);
    trial.within('it gets no more calls', 1_000, await mesh.untilIneligible(fromMs, 5_000));
    trial.expectAvailable(await load.during(fromMs, trial.pick(1_500, 20_000)), 99.9);
    await once.stop();
    trial.none('nothing is done twice that must not be', repeatedCalls(mesh, once, trial), `of ${once.sent}`);
    trial.figure('failed of those that must not be repeated', `${once.failures.length} of ${once.sent}`);
  },
});

const frozen = row({
  name: 'frozen',
  fault: 'one replica of three stands still, and goes on later (SIGSTOP, SIGCONT)',
  plan: { upstream: { ejection: { base: '2s', max: '4s' }, routes: [IMPATIENT] } },
  work: async ({ trial, mesh, load }) => {
    const [victim] = mesh.replicas;
    const fromMs = performance.now();
    victim!.model.process.signal('SIGSTOP');
    process.kill(victim!.sidecar.pid, 'SIGSTOP');
    const settleMs = trial.pick(1_500, 5_000);
    const single = await mesh.untilSingleAttempts(victim!, fromMs, 10_000);
    trial.within('it gets single calls at most', settleMs, single);
    const calls = await load.during(fromMs, trial.pick(2_500, 15_000));
    trial.expectAvailable(calls, 99);
    trial.expectNoneHangs(calls, 1_000);
    const late = await load.between(fromMs + settleMs);
    const stuck = late.filter(({ startMs, endMs }) => endMs - startMs > 250).length;
    const found = `${stuck} of ${late.length} calls`;
    trial.expect('after that only single probes find it', stuck <= late.length / 100, found);
    process.kill(victim!.sidecar.pid, 'SIGCONT');
    victim!.model.process.signal('SIGCONT');
    const thawedMs = performance.now();
    trial.within('it takes part again', 10_000, await victim!.model.untilRuns(thawedMs + 1, 20_000));
    const [{ state, why }] = (await mesh.endpoints()) as [EndpointReport];
    trial.figure('in the end it is', `${state} ${why}`);
  },
});

/** "Within 10 s" (row 3 of the catalogue). */
const SLOW_SETTLED_MS = 10_000;

const slow = row({
  name: 'slow',
  fault: 'one replica of three takes ten times as long',
  work: async ({ trial, mesh, load }) => {
    const startMs = performance.now();
    const base = summarize(await load.during(startMs, trial.pick(1_000, 3_000)));
    const fromMs = performance.now();
    await mesh.models[0]!.behave({ does: 'slow', factor: 10 });
    // More than one call in a hundred goes there until it is out: ten times as long is the p99 until then.
    const isOut = async () => (await mesh.endpoints())[0]!.state !== 'eligible';
    const out = await measure(isOut, SLOW_SETTLED_MS, fromMs);
    const afterMs = fromMs + (out ?? SLOW_SETTLED_MS);
    const calls = await load.during(afterMs, trial.pick(1_500, 10_000));
    const shares = mesh.shares(afterMs, performance.now());
    const all = sumOf(shares);
    trial.figure('it is out after', out === undefined ? 'never' : seconds(out));
    trial.figure('p99 before', `${base.p99Ms.toFixed(0)} ms`);
    // The short run has too few calls for more than the order of size.
    const factor = trial.pick(4, 2);
    trial.expectP99(`p99 within 10 s is ${factor} times what it was, or less`, calls, factor * base.p99Ms);
    trial.expect('its share is at most 10 %', shares[0]! <= all / 10, percentOf(shares[0]!, all));
    trial.expectAvailable(await load.between(fromMs), 99.5);
  },
});

function burst(name: string, form: FailureForm, fault: string): DecisionRow {
  return row({
    name,
    fault,
    work: async ({ trial, mesh, load }) => {
      const fromMs = performance.now();
      await mesh.models[0]!.behave(fails(form));
      const calls = await load.during(fromMs, trial.pick(2_000, 20_000));
      const toMs = performance.now();
      const out = mesh.models[0]!.untilSingleRuns(fromMs, toMs);
      trial.within('it gets single calls at most', 1_000, out);
      trial.figure('ejections', String(await mesh.ejections()));
      trial.expectAvailable(calls, 99.5);
      const [probes] = mesh.shares(fromMs + (out ?? 0), toMs);
      const limit = 2 + (toMs - fromMs) / 1_000;
      trial.expect('from then on only single probes reach it', probes! <= limit, `${probes} calls`);
    },
  });
}

const allFail = row({
  name: 'all-fail',
  fault: 'every replica fails every call, and then none does',
  work: async ({ trial, mesh, load }) => {
    const fromMs = performance.now();
    await mesh.behave(fails('trailers'));
    const most = await mostOf(() => mesh.ejected(), fromMs + trial.pick(1_500, 10_000));
    // From the start, as the budget counts what came before.
    const runs = mesh.runs(0);
    const healMs = performance.now();
    await mesh.behave(WELL);
    const broken = await load.between(fromMs, healMs);
    const none = broken.filter(({ failure }) => failure?.includes('no-endpoint')).length;
    trial.none('there is always an endpoint to try', none, 'calls found none');
    trial.expect('at most half of the endpoints are out', most <= 1, `${most} of 3`);
    const extra = runs / (await load.between(0, healMs)).length;
    trial.expect('at most 1.25 attempts for each call', extra <= 1.25, extra.toFixed(2));
    const healed = await load.during(healMs, 3_000);
    trial.within('no call fails after they recover', 2_000, recoveryMs(healed, healMs));
  },
});

const pair = row({
  name: 'pair',
  fault: 'one of two replicas fails, then both do',
  plan: { replicas: 2 },
  work: async ({ trial, mesh, load }) => {
    const fromMs = performance.now();
    await mesh.models[0]!.behave(fails('trailers-only'));
    const calls = await load.during(fromMs, trial.pick(1_500, 10_000));
    const out = mesh.models[0]!.untilSingleRuns(fromMs, performance.now());
    trial.within('the bad one gets single calls at most', 1_000, out);
    trial.expectAvailable(calls, 99.5);
    await mesh.models[1]!.behave(fails('trailers-only'));
    const most = await mostOf(() => mesh.ejected(), performance.now() + trial.pick(700, 5_000));
    trial.expect('never both are out', most <= 1, `${most} of 2`);
  },
});

let isDue = false;

const poison = row({
  name: 'poison',
  fault: 'one request kills every model that works on it',
  load: {
    request: (n) => {
      const id = isDue ? `${POISON_PREFIX}${n}` : `call-${n}`;
      isDue = false;
      return { ...REQUEST, id };
    },
  },
  work: async ({ trial, mesh, load }) => {
    await mesh.behave({ does: 'choke' });
    const fromMs = performance.now();
    isDue = true;
    const calls = await load.during(fromMs, trial.pick(2_000, 10_000));
    const dead = mesh.models.filter((model) => !model.process.isRunning).length;
    trial.expect('it kills as many as it has attempts', dead > 0 && dead <= 2, `${dead} of 3`);
    trial.expectAvailable(calls, 99);
  },
});

export const REPLICA_ROWS: readonly DecisionRow[] = [
  killed,
  frozen,
  slow,
  burst('errors', 'trailers-only', 'one replica of three fails every call, in headers'),
  burst('late-errors', 'trailers', 'one replica of three fails every call, in trailers after headers'),
  allFail,
  pair,
  poison,
];
