/** What supervision must not do to a model that works, and what it must stop doing to one that does not. */

import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ModelInferRequest } from '../../../proto/messages.js';
import { LOCAL_CHANNEL } from '../../../sidecar/cli/chaos/protocol/call.js';
import type { ModelReport } from '../../../sidecar/telemetry/reports.js';
import { OUTRIDER, reportOf, Scratch, type UpFacts } from '../../kit/process/outrider.js';
import { TestClient } from '../../kit/service/model-server.js';
import { putLoopModel } from '../../kit/service/tiny-models.js';
import { type SentCall, summarize } from '../faults/load.js';
import { failuresOf, type Trial } from '../faults/row.js';
import { measure, seconds } from '../faults/times.js';
import type { DecisionRow } from './drill.js';
import { INFER } from './mesh.js';
import { counting, upDrill } from './up-drill.js';

/** A short run: some half a millisecond. */
const SHORT_STEPS = 300;
const LOOP_LOAD = { service: 'loop', perSecond: 100, request: () => counting(SHORT_STEPS) };

/** A folder with a model that counts as far as it is told. */
function modelsFolder(): string {
  const models = join(new Scratch().path, 'models');
  putLoopModel(models);
  return models;
}

/** A mesh file of `services`, each of them an upstream of the caller on a free port. `route`: to `loop`. */
function meshFile(services: object, route: object): string {
  const upstreams = Object.keys(services).map((name) => {
    const upstream = { listen: '127.0.0.1:0', ...(name === 'loop' && { routes: [route] }) };
    return [name, upstream] as const;
  });
  const caller = { name: 'app', upstreams: Object.fromEntries(upstreams) };
  return JSON.stringify({ services, caller, intentions: [{ from: 'app', to: '*', action: 'allow' }] });
}

const longRun: DecisionRow = {
  name: 'long-run',
  fault: 'a model whose runs take a millisecond gets one call that takes 11 s alone',
  run: async (_, trial) => {
    const models = modelsFolder();
    const routes = [{ methods: [INFER], kind: 'unary', timeout: '90s' }];
    const retry = { attempts: 3, on: ['unavailable'] };
    const file = meshFile(
      { loop: { models, replicas: 3, routes } },
      { methods: [INFER], idempotent: true, timeout: '90s', retry },
    );
    const longMs = trial.pick(5_000, 11_000);
    // A short call behind the long run waits for it and is not lost.
    await upDrill(trial, { ...LOOP_LOAD, file, deadlineMs: 30_000 }, async ({ up, load, target }) => {
      const fromMs = performance.now();
      const before = await reportsOf(up);
      const steps = await stepsFor(target, longMs);
      const longFromMs = performance.now();
      const failure = await infer(target, counting(steps), 60_000).catch(({ message }: Error) => message);
      const tookMs = performance.now() - longFromMs;
      trial.expect('the long call succeeds', failure === undefined, failure ?? seconds(tookMs));
      trial.figure('the long call took', seconds(tookMs));
      const calls = await load.between(fromMs);
      const after = await reportsOf(up);
      const kept = after.filter(({ pid }, i) => pid === before[i]!.pid).length;
      const killed = after.length - kept;
      trial.figure('models killed', `${killed} of ${after.length}`);
      trial.none('no model is killed', killed, `of ${after.length}`);
      trial.noneFailed('no other call fails', calls);
      trial.figure(
        'calls behind it',
        String(calls.filter(({ startMs, endMs }) => endMs - startMs > 1_000).length),
      );
    });
  },
};

const crashLoop: DecisionRow = {
  name: 'crash-loop',
  fault: 'a model exits at once, whenever it is started, until it is repaired',
  run: async (_, trial) => {
    const models = modelsFolder();
    const works = join(models, '../works');
    writeFileSync(works, '');
    const serve = [...OUTRIDER, 'serve', '--models', models, '--listen', '{address}'];
    const retryAfterMs = trial.pick(2_000, 5_000);
    const restart = { base: '10ms', max: '50ms', retry_after: `${retryAfterMs}ms` };
    const command = ['/bin/sh', '-c', `[ -e ${works} ] || exit 3; exec "$0" "$@"`, ...serve];
    const retry = { attempts: 2, on: ['unavailable'] };
    const fallback = [{ kind: 'upstream', upstream: 'stand-in' }];
    const file = meshFile(
      { loop: { command, model: { restart } }, 'stand-in': { models } },
      { methods: [INFER], idempotent: true, timeout: '2s', retry, fallback },
    );
    await upDrill(trial, { ...LOOP_LOAD, file, deadlineMs: 2_000 }, async ({ up, load }) => {
      const [before] = await reportsOf(up);
      const fromMs = performance.now();
      rmSync(works);
      process.kill(before!.pid!, 'SIGKILL');
      let last: ModelReport | undefined;
      const givenUp = async () => {
        [last] = await reportsOf(up);
        return last?.state === 'given-up';
      };
      trial.within('it is given up', 5_000, await measure(givenUp, 10_000, fromMs));
      const restarts = last!.restarts - before!.restarts;
      trial.figure('failed starts until then', String(restarts));
      trial.expect('it is started five times at most', restarts <= 5, `${restarts} times`);
      trial.figure('it says', last!.why);
      await delay(trial.pick(3_000, 12_000));
      const slow = (await reportsOf(up))[0]!.restarts - last!.restarts;
      trial.figure('slow retries', String(slow));
      const most = Math.ceil(trial.pick(3_000, 12_000) / retryAfterMs);
      trial.expect('after that it is tried now and then', slow <= most, `${slow} times, at most ${most}`);
      const calls = await load.between(fromMs);
      const degraded = calls.filter(({ degraded }) => degraded).length;
      trial.figure('answered by the fallback', `${degraded} of ${calls.length}`);
      expectServed(trial, calls);
      writeFileSync(works, '');
      const repairedMs = performance.now();
      const isBack = async () => (await reportsOf(up))[0]!.state === 'ready';
      trial.within('repaired, it is ready', retryAfterMs + 5_000, await measure(isBack, 30_000, repairedMs));
      const readyMs = performance.now();
      const isCalled = async () => {
        const late = await load.between(performance.now() - 200, performance.now());
        return late.length > 0 && late.every(({ degraded }) => !degraded);
      };
      trial.within('then calls reach it again', 15_000, await measure(isCalled, 30_000, readyMs));
    });
  },
};

/** Those under way when it was killed the first time may be lost; none after that. */
function expectServed(trial: Trial, calls: readonly SentCall[]): void {
  const found = summarize(calls);
  const share = (100 * found.ok) / found.sent;
  trial.expect('at least 99.5 % of the calls are served', share >= 99.5, failuresOf(found));
}

/** Of the replicas of the model, in their order. */
async function reportsOf(up: UpFacts): Promise<ModelReport[]> {
  const replicas = up.sidecars.filter(({ service }) => service === 'loop');
  return Promise.all(replicas.map(async (each) => (await reportOf(each.admin)).model!));
}

/** Steps that take so long here and now. */
async function stepsFor(target: string, ms: number): Promise<number> {
  const probe = 200_000;
  const fromMs = performance.now();
  await infer(target, counting(probe), 30_000);
  return (probe * ms) / (performance.now() - fromMs);
}

/** Undefined when it was answered. */
async function infer(target: string, request: ModelInferRequest, deadlineMs: number): Promise<undefined> {
  const client = new TestClient(target, LOCAL_CHANNEL);
  await client.infer(request, { deadline: Date.now() + deadlineMs }).finally(() => client.close());
}

export const SUPERVISION_ROWS: readonly DecisionRow[] = [longRun, crashLoop];
