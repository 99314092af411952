/** Models as destinations: no replica has its model loaded yet, or only some have the model that a call names. */

import { setTimeout as delay } from 'node:timers/promises';
import { LoopbackAgent } from '../../kit/consul/loopback-agent.js';
import { type DecisionRow, type Drill, drill, drillRow } from '../decisions/drill.js';
import { mostOf, RETRIED, sinceNow, sumOf } from '../decisions/mesh.js';
import { type LoadOptions, REQUEST, summarize } from '../faults/load.js';
import type { Trial } from '../faults/row.js';
import { seconds } from '../faults/times.js';

const DEADLINE_MS = 30_000;
/** Calls that may wait, fewer than a connection has at once, and calls per second of a cold start. */
const MOST_WAITING = 200;
const COLD_RATE = 25;
const WAKE_EVERY_MS = 2_000;
/** From the moment when the models are up to the answer of the last call that waited for them. */
const LATE_MS = 2_000;

const coldStart: DecisionRow = {
  name: 'cold-start',
  fault: 'no replica has its model loaded: calls wait, and a hook is asked to start them',
  run: async (_, trial) => {
    // In the place of an autoscaler.
    const hook = await LoopbackAgent.start();
    const wake = { url: `http://127.0.0.1:${hook.port}/wake`, interval: `${WAKE_EVERY_MS}ms` };
    const routes = [{ ...RETRIED, timeout: '60s' }];
    const upstream = { routes, cold_start: { wait: '30s', max_waiting: MOST_WAITING, wake } };
    const load = { perSecond: COLD_RATE, deadlineMs: DEADLINE_MS };
    try {
      await drill(trial, { upstream }, (parts) => coldStarts(parts, hook), load);
    } finally {
      await hook.stop();
    }
  },
};

async function coldStarts(parts: Drill, hook: LoopbackAgent): Promise<void> {
  const { trial } = parts;
  const within = await startCold(parts, hook, trial.pick(400, 3_000));
  trial.noneFailed('no call fails while fewer wait than may', within.calls);
  trial.expect('calls waited', within.waited > 0, String(within.waited));
  trial.none('none is refused', within.refused, 'calls');
  trial.expect(
    `the last call is answered at most ${seconds(LATE_MS)} after the models are up`,
    within.lateMs <= LATE_MS,
    seconds(within.lateMs),
  );
  trial.expect(
    'each call ran once',
    within.runs === within.calls.length,
    `${within.runs} runs of ${within.calls.length}`,
  );
  if (trial.pace === 'short') return;
  const beyond = await startCold(parts, hook, (1_500 * MOST_WAITING) / COLD_RATE);
  trial.expect(`no more than ${MOST_WAITING} wait`, beyond.most <= MOST_WAITING, String(beyond.most));
  const { failed, failures } = summarize(beyond.calls);
  trial.expect(
    'as many fail as are refused',
    failed === beyond.refused && failed > 0,
    `${failed} and ${beyond.refused}`,
  );
  const reasons = failures.map(({ what }) => what);
  trial.only('a refusal names its reason', reasons, 'UNAVAILABLE model-unavailable');
}

/** Stops every model, and starts them `loadMs` after the hook has been asked; what became of the calls meanwhile. */
async function startCold({ mesh, trial, load }: Drill, hook: LoopbackAgent, loadMs: number) {
  const of = (result: string) => () => mesh.caller.metric('outrider_cold_start_calls_total', { result });
  const [waited, refused, expired] = await Promise.all([
    sinceNow(of('waited')),
    sinceNow(of('refused')),
    sinceNow(of('expired')),
  ]);
  load.pause();
  await load.between(0);
  await Promise.all(mesh.models.map((model) => model.kill()));
  hook.asked.length = 0;
  let upMs = Number.NaN;
  const asked = new Promise<void>((resolve) => {
    hook.handler = (_, response) => {
      response.end();
      resolve();
    };
  });
  const areUp = asked.then(async () => {
    await delay(loadMs);
    await Promise.all(mesh.models.map((model) => model.restart()));
    upMs = performance.now();
  });
  const fromMs = performance.now();
  load.resume();
  const most = mostOf(() => mesh.caller.metric('outrider_cold_start_waiting'), fromMs + loadMs);
  await areUp;
  await delay(trial.pick(1_000, 3_000));
  load.pause();
  const calls = await load.between(fromMs);
  const spanMs = performance.now() - fromMs;
  load.resume();
  const asks = hook.asked.length;
  const mostAsks = 1 + Math.ceil(spanMs / WAKE_EVERY_MS);
  trial.expect(
    `the hook is asked, at most every ${seconds(WAKE_EVERY_MS)}`,
    asks > 0 && asks <= mostAsks,
    `${asks} times`,
  );
  trial.figure('models were up after', seconds(upMs - fromMs));
  trial.figure('calls that waited', String(await waited()));
  trial.figure('most at once', String(await most));
  trial.none('none waits in vain', await expired(), 'calls');
  return {
    ...{ calls, waited: await waited(), refused: await refused(), most: await most },
    runs: mesh.runs(fromMs, fromMs + spanMs),
    lateMs: Math.max(...calls.filter(({ startMs }) => startMs < upMs).map(({ endMs }) => endMs)) - upMs,
  };
}

const ALL = 'all-have-it';
const SOME = 'some-have-it';

/** The model and a number as the id, which the model process writes down. */
const mixed: Partial<LoadOptions> = {
  perSecond: 200,
  deadlineMs: 3_000,
  request: (n) => {
    const model_name = n % 2 === 0 ? ALL : SOME;
    return { ...REQUEST, model_name, id: `${model_name}-${n}` };
  },
};

const modelOnSome = drillRow({
  name: 'model-on-some',
  fault: 'two of three replicas have a model; one of them is killed; the third gets the model',
  plan: { models: [[ALL, SOME], [ALL, SOME], [ALL]] },
  load: mixed,
  work: async ({ trial, mesh, load }) => {
    const phase = async (what: string): Promise<Record<typeof ALL | typeof SOME, readonly number[]>> => {
      const fromMs = performance.now();
      trial.noneFailed(`${what}: no call fails`, await load.during(fromMs, trial.pick(800, 5_000)));
      const [all, some] = [ALL, SOME].map((model) => sharesOf(mesh, model, fromMs));
      trial.figure(`${what}, runs of the model that some have`, some!.join(' / '));
      return { [ALL]: all!, [SOME]: some! };
    };
    const before = await phase('at first');
    judgeShares(trial, 'at first', before[SOME], [true, true, false]);
    judgeShares(trial, 'at first, the other model', before[ALL], [true, true, true]);
    const killedMs = performance.now();
    await mesh.kill(mesh.replicas[0]!);
    const without = await phase('one is killed');
    const later = sharesOf(mesh, SOME, killedMs + 500);
    judgeShares(trial, 'one is killed', later, [false, true, false]);
    judgeShares(trial, 'one is killed, the other model', without[ALL], [undefined, true, true]);
    await mesh.announceModels([
      [ALL, SOME],
      [ALL, SOME],
      [ALL, SOME],
    ]);
    const added = await phase('the third has it');
    judgeShares(trial, 'the third has it', added[SOME], [false, true, true]);
    trial.none(
      'no call goes to a replica without its model',
      await mesh.caller.metric('outrider_model_misses_total'),
      'calls',
    );
  },
});

/** Runs of a model at each replica. */
function sharesOf(mesh: Drill['mesh'], model: string, fromMs: number): readonly number[] {
  return mesh.models.map((each) => each.runs(fromMs).filter(({ callId }) => callId.startsWith(model)).length);
}

/** A replica that has the model gets a twentieth of its calls or more, as it may have others too, one that has not gets none; undefined: either. */
function judgeShares(
  trial: Trial,
  what: string,
  runs: readonly number[],
  has: readonly (boolean | undefined)[],
): void {
  const all = sumOf(runs);
  const isRight = runs.every(
    (count, i) => has[i] === undefined || (has[i] ? count >= all / 20 : count === 0),
  );
  trial.expect(
    `${what}: calls go to the replicas that have it, and to no other`,
    all > 0 && isRight,
    runs.join(' / '),
  );
}

export const MODEL_ROWS: readonly DecisionRow[] = [coldStart, modelOnSome];
