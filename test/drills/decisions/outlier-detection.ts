/** What counts as a fault of an endpoint and ejects it, and what does not. */

import { setTimeout as delay } from 'node:timers/promises';
import { fails } from '../../../sidecar/cli/chaos/protocol/behaviour.js';
import { REQUEST, summarize } from '../faults/load.js';
import { ALTERED, judgeNumbers } from '../faults/number-answers.js';
import { measure } from '../faults/times.js';
import { type DecisionRow, drillRow, percentOf } from './drill.js';
import { IMPATIENT, sinceNow, targetOf } from './mesh.js';

const INVALID_ARGUMENT = 3;
const NOT_FOUND = 5;

const clientErrors = drillRow({
  name: 'client-errors',
  fault: 'calls that are the callers’ own mistakes: INVALID_ARGUMENT, NOT_FOUND',
  work: async ({ trial, mesh, load }) => {
    const detections = await mesh.detections();
    const [fromMs, before] = [performance.now(), load.sent];
    await mesh.models[0]!.behave(fails('trailers-only', { code: INVALID_ARGUMENT }));
    await mesh.models[1]!.behave(fails('trailers', { code: NOT_FOUND }));
    const calls = await load.during(fromMs, trial.pick(1_000, 10_000));
    // The load goes on: runs and calls are counted at one instant.
    const [all, asked] = [mesh.runs(fromMs), load.sent - before];
    const { failed, sent } = summarize(calls);
    trial.none('nothing is ejected', await detections(), 'times');
    trial.expect('the callers hear of it', failed > sent / 3, `${failed} of ${sent} calls`);
    trial.expect('nothing is done again', all <= asked * 1.02 + 20, `${all} runs for ${asked} calls`);
  },
});

const flapping = drillRow({
  name: 'flapping',
  fault: 'one replica of three fails and answers in turn',
  work: async ({ trial, mesh, load }) => {
    const forMs = trial.pick(3_000, 60_000);
    const fromMs = performance.now();
    const turnMs = trial.pick(500, 2_000);
    await mesh.models[0]!.behave(fails('trailers', { turnMs }));
    trial.expectAvailable(await load.during(fromMs, forMs), 99);
    const ejections = await mesh.ejections();
    trial.expect('it is ejected at most five times', ejections <= 5, `${ejections} ejections`);
  },
});

const INSPECTED = { detectors: { invalid_output: { mode: 'enforce', sample_ratio: 0.5 } } };

const nan = drillRow({
  name: 'nan',
  fault: 'one replica of three answers OK with NaN',
  plan: { upstream: { ejection: INSPECTED } },
  load: { judge: judgeNumbers(Buffer.from(REQUEST.raw_input_contents![0]!)) },
  work: async ({ trial, mesh, load }) => {
    const fromMs = performance.now();
    await mesh.models[0]!.behave({ does: 'nan' });
    const found = () => mesh.caller.metric('outrider_ejections_total', { detector: 'invalid-output' });
    const ejected = await measure(async () => (await found()) > 0, 8_000, fromMs);
    trial.within('it is ejected', 5_000, ejected);
    // Half a second without a second call has to be seen.
    const calls = await load.during(fromMs, trial.pick((ejected ?? 5_000) + 1_500, 10_000));
    const wrong = summarize(calls).failures.filter(({ what }) => what === ALTERED);
    trial.expect('no answer is altered', wrong.length === 0, `${wrong[0]?.count ?? 0} answers`);
    const out = mesh.models[0]!.untilSingleRuns(fromMs, performance.now());
    trial.within('it gets single calls at most', 5_000, out);
  },
});

const stall = drillRow({
  name: 'stall',
  fault: 'the caller’s sidecar itself stands still for half a second, and longer',
  plan: { upstream: { routes: [IMPATIENT] } },
  work: async ({ trial, mesh, load }) => {
    const detections = await mesh.detections();
    for (const stillMs of trial.pick([500], [500, 500, 700, 1_500])) {
      await delay(trial.pick(300, 2_000));
      process.kill(mesh.caller.pid, 'SIGSTOP');
      await delay(stillMs);
      process.kill(mesh.caller.pid, 'SIGCONT');
    }
    await delay(trial.pick(500, 3_000));
    trial.none('no endpoint is ejected', await detections(), 'times');
    const fromMs = performance.now();
    trial.expectAvailable(await load.during(fromMs, trial.pick(500, 3_000)), 99.9);
  },
});

/** Two applications, of which one cannot reach a replica. */
const partition = drillRow({
  name: 'partition',
  fault: 'one replica of three cannot be reached by one of two callers',
  plan: { isWired: true, upstream: { routes: [IMPATIENT] } },
  work: async ({ trial, mesh, load }) => {
    const direct = mesh.replicas.map(({ sidecar }) => targetOf(sidecar, 'inbound'));
    const other = await mesh.startCaller(direct);
    const others = await mesh.load({ target: targetOf(other), perSecond: 100 });
    await delay(trial.pick(300, 2_000));
    const fromMs = performance.now();
    const attempts = (labels = {}) => sinceNow(() => other.metric('outrider_attempts_total', labels));
    const detections = await mesh.detections(other);
    const [reached, all] = [await attempts({ endpoint: direct[0]! }), await attempts()];
    mesh.replicas[0]!.wire!.set({ kind: 'dark' });
    const calls = await load.during(fromMs, trial.pick(2_000, 15_000));
    trial.expectAvailable(calls, 99);
    trial.expectNoneHangs(calls, 1_000);
    const [share, total] = [await reached(), await all()];
    trial.expect('the other caller goes on calling it', share > total / 5, percentOf(share, total));
    trial.none('and ejects no endpoint', await detections(), 'times');
    const failed = summarize(await others.between(fromMs)).failed;
    trial.none('none of its calls fails', failed, 'calls');
  },
});

export const OUTLIER_ROWS: readonly DecisionRow[] = [clientErrors, flapping, nan, stall, partition];
