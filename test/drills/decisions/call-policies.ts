/** Hedging, fallback and health checks: what helps a call beside retries. */

import { setTimeout as delay } from 'node:timers/promises';
import { fails, WELL } from '../../../sidecar/cli/chaos/protocol/behaviour.js';
import type { SentCall } from '../faults/load.js';
import { measure } from '../faults/times.js';
import { type DecisionRow, drillRow, percentOf } from './drill.js';
import { IMPATIENT, RETRIED, STAND_IN, sinceNow } from './mesh.js';

const SERVICE_MS = 50;
const MAX_RATIO = 0.05;
/** What a hedge may have saved up, and what the retry budget grants beside. */
const SAVED = 10;

const HEDGED = { ...RETRIED, hedge: { percentile: 0.95, min_delay: '5ms', max_ratio: MAX_RATIO } };

const hedge = drillRow({
  name: 'hedge',
  fault: 'one call in forty takes ten times as long, at whatever replica',
  plan: { serviceMs: SERVICE_MS, upstream: { routes: [HEDGED] } },
  work: async ({ trial, mesh, load }) => {
    await delay(trial.pick(1_000, 3_000));
    await mesh.behave({ does: 'slow', factor: 10, every: 40 });
    const sent = await sinceNow(() => mesh.caller.metric('outrider_hedges_total'));
    const won = await sinceNow(() => mesh.caller.metric('outrider_hedges_won_total'));
    const fromMs = performance.now();
    const calls = await load.during(fromMs, trial.pick(2_500, 15_000));
    const [copies, wins] = [await sent(), await won()];
    trial.figure('copies that answered first', `${wins} of ${copies}`);
    const overtaken = `${wins} of ${calls.length} calls`;
    trial.expect('most late calls are overtaken', wins >= calls.length / 80, overtaken);
    const most = calls.length * MAX_RATIO * 1.02 + SAVED;
    trial.expect('copies are 5 % of the calls at most', copies <= most, percentOf(copies, calls.length));
    trial.expectP99('p99 is far from ten times as long', calls, 4 * SERVICE_MS);
    trial.expectAvailable(calls, 99.9);
  },
});

const WITH_FALLBACK = { ...RETRIED, fallback: [{ kind: 'upstream', upstream: STAND_IN }] };

const fallback = drillRow({
  name: 'fallback',
  fault: 'every replica fails, and another model stands in until they are well',
  plan: { hasStandIn: true, upstream: { routes: [WITH_FALLBACK] } },
  work: async ({ trial, mesh, load }) => {
    const strict = await mesh.load({ perSecond: 50, metadata: { 'outrider-accept-degraded': 'no' } });
    await delay(trial.pick(300, 2_000));
    const fromMs = performance.now();
    await mesh.behave(fails('trailers'));
    const brokenMs = performance.now();
    const calls = await load.during(brokenMs, trial.pick(1_500, 10_000));
    trial.expectAvailable(await load.between(fromMs), 99.5);
    const unmarked = calls.filter(({ degraded, failure }) => !degraded && failure === undefined).length;
    trial.none('every answer says that it is degraded', unmarked, 'do not');
    const declined = await strict.between(brokenMs + 100);
    const given = declined.filter(({ failure }) => failure === undefined).length;
    const isRefused = declined.length > 20 && given === 0;
    const found = `${given} of ${declined.length}`;
    trial.expect('a caller that accepts no degraded answer gets none', isRefused, found);
    const healMs = performance.now();
    await mesh.behave(WELL);
    // The primary is tried after 1, 2, 4 and 8 s: the longer it failed, the rarer.
    const limitMs = trial.pick(4_000, 12_000);
    const isOwn = ({ degraded, failure }: SentCall) => !degraded && failure === undefined;
    const isBack = async () => (await load.between(healMs)).some(isOwn);
    const backMs = await measure(isBack, limitMs, healMs);
    const after = await load.during(healMs, (backMs ?? limitMs) + trial.pick(1_000, 3_000));
    const own = after.find(isOwn);
    trial.within('the replicas answer again', limitMs, own && own.startMs - healMs);
    const late = after.filter(({ startMs, degraded }) => degraded && own && startMs > own.startMs + 250);
    const isOver = own !== undefined && late.length === 0;
    trial.expect('and from then on only they', isOver, `${late.length} calls`);
    trial.expectAvailable(after, 99.9);
  },
});

const QUICK_CHECKS = { interval: '500ms', timeout: '250ms' };
const PINGS = { kind: 'ping', ...QUICK_CHECKS };

const modelGone = drillRow({
  name: 'model-gone',
  fault: 'one model of three is gone, and its sidecar says NOT_SERVING on a connection that lives',
  plan: { upstream: { health: QUICK_CHECKS, ejection: { mode: 'observe' } } },
  work: async ({ trial, mesh, load }) => {
    await delay(trial.pick(300, 2_000));
    const fromMs = performance.now();
    await mesh.models[0]!.kill();
    trial.within('it gets no more calls', 3_000, await mesh.untilIneligible(fromMs, 6_000));
    trial.figure('it is out as', (await mesh.endpoints())[0]!.why);
    trial.expectAvailable(await load.during(fromMs, trial.pick(1_400, 10_000)), 99.9);
    await mesh.models[0]!.restart();
    const backMs = performance.now();
    // Its sidecar connects again: at most 4.8 s after it last tried, less if the model was gone for less long. Then it
    // asks the model at once, and the caller's next check hears of it.
    const tookMs = await mesh.models[0]!.untilRuns(backMs, 20_000);
    trial.within('it takes part again', trial.pick(3_000, 8_000), tookMs);
  },
});

const ping = drillRow({
  name: 'ping',
  fault: 'the sidecar of one replica of three stands still, and only PINGs ask',
  plan: { upstream: { health: PINGS, ejection: { mode: 'observe' }, routes: [IMPATIENT] } },
  work: async ({ trial, mesh, load }) => {
    await delay(trial.pick(300, 2_000));
    const { pid } = mesh.replicas[0]!.sidecar;
    const fromMs = performance.now();
    process.kill(pid, 'SIGSTOP');
    trial.within('it gets no more calls', 3_000, await mesh.untilIneligible(fromMs, 6_000));
    trial.expectAvailable(await load.during(fromMs, trial.pick(1_700, 10_000)), 99);
    process.kill(pid, 'SIGCONT');
    const backMs = performance.now();
    // A PING every 500 ms at most, of which one answer is enough; the rest is for the calls that show it.
    trial.within('it takes part again', 2_000, await mesh.models[0]!.untilRuns(backMs + 1, 20_000));
  },
});

export const CALL_POLICY_ROWS: readonly DecisionRow[] = [hedge, fallback, modelGone, ping];
