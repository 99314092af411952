/** What supervision must not do to a model that works, and what it must stop doing to one that does not. */

import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import { protocols } from '../../../proto/load.js';
import type { ModelInferRequest, ModelInferResponse } from '../../../proto/messages.js';
import type { ModelReport } from '../../../sidecar/telemetry/reports.js';
import { admin, Mesh, OUTRIDER, Scratch, type UpFacts } from '../../kit/process/outrider.js';
import { putLoopModel } from '../../kit/service/tiny-models.js';
import { LOCAL_CHANNEL } from '../faults/call.js';
import { Load, type SentCall, summarize } from '../faults/load.js';
import { failuresOf, measure, seconds, type Trial } from '../faults/row.js';
import type { DecisionRow } from './drill.js';

const INFER = '/inference.GRPCInferenceService/ModelInfer';
/** A short run: some half a millisecond. */
const SHORT_STEPS = 300;

interface Drill {
  readonly mesh: Mesh;
  readonly up: UpFacts;
  readonly load: Load;
  readonly target: string;
}

/** Opens a mesh of `services` before a model that counts as far as it is told, and calls it with short runs meanwhile. */
async function drill(
  trial: Trial,
  scratch: Scratch,
  mesh: object,
  deadlineMs: number,
  work: (drill: Drill) => Promise<void>,
): Promise<void> {
  const running = Mesh.start(JSON.stringify(mesh));
  try {
    const up = await running.ready();
    const target = up.call['loop']!;
    const load = await Load.start({
      target,
      perSecond: 100,
      deadlineMs,
      request: () => counting(SHORT_STEPS),
    });
    try {
      await trial.under(load, () => work({ mesh: running, up, load, target }));
    } finally {
      await load.stop().catch(() => {});
    }
  } finally {
    await running.discard();
    scratch.remove();
  }
}

const longRun: DecisionRow = {
  name: 'long-run',
  fault: 'a model whose runs take a millisecond gets one call that takes 11 s alone',
  run: async (_, trial) => {
    const scratch = new Scratch();
    putLoopModel(join(scratch.path, 'models'));
    const route = {
      methods: [INFER],
      idempotent: true,
      timeout: '90s',
      retry: { attempts: 3, on: ['unavailable'] },
    };
    const mesh = {
      services: {
        loop: {
          models: join(scratch.path, 'models'),
          replicas: 3,
          routes: [{ methods: [INFER], kind: 'unary', timeout: '90s' }],
        },
      },
      caller: { name: 'app', upstreams: { loop: { listen: '127.0.0.1:0', routes: [route] } } },
      intentions: [{ from: 'app', to: '*', action: 'allow' }],
    };
    const longMs = trial.pick(5_000, 11_000);
    // A short call behind the long run waits for it and is not lost.
    await drill(trial, scratch, mesh, 30_000, async ({ up, load, target }) => {
      const fromMs = performance.now();
      const before = await models(up);
      const steps = await stepsFor(target, longMs);
      const longFromMs = performance.now();
      const failure = await infer(target, counting(steps), 60_000).then(
        () => undefined,
        (error: ServiceError) => error.message,
      );
      const tookMs = performance.now() - longFromMs;
      trial.expect('the long call succeeds', failure === undefined, failure ?? seconds(tookMs));
      trial.figure('the long call took', seconds(tookMs));
      const calls = await load.between(fromMs, performance.now());
      const after = await models(up);
      const kept = after.filter(({ pid }, i) => pid === before[i]!.pid).length;
      trial.figure('models killed', `${after.length - kept} of ${after.length}`);
      trial.expect('no model is killed', kept === after.length, `${after.length - kept} of ${after.length}`);
      trial.noneFailed('no other call fails', calls);
      trial.figure('calls behind it', String(calls.filter((call) => (call.tookMs ?? 0) > 1_000).length));
    });
  },
};

const crashLoop: DecisionRow = {
  name: 'crash-loop',
  fault: 'a model exits at once, whenever it is started, until it is repaired',
  run: async (_, trial) => {
    const scratch = new Scratch();
    putLoopModel(join(scratch.path, 'models'));
    const works = join(scratch.path, 'works');
    writeFileSync(works, '');
    const models_ = join(scratch.path, 'models');
    const serve = [...OUTRIDER, 'serve', '--models', models_, '--listen', '{address}'];
    const retryAfterMs = trial.pick(2_000, 5_000);
    const route = {
      methods: [INFER],
      idempotent: true,
      timeout: '2s',
      retry: { attempts: 2, on: ['unavailable'] },
      fallback: [{ kind: 'upstream', upstream: 'stand-in' }],
    };
    const mesh = {
      services: {
        loop: {
          command: ['/bin/sh', '-c', `[ -e ${works} ] || exit 3; exec "$0" "$@"`, ...serve],
          model: { restart: { base: '10ms', max: '50ms', retry_after: `${retryAfterMs}ms` } },
        },
        'stand-in': { models: models_ },
      },
      caller: {
        name: 'app',
        upstreams: {
          loop: { listen: '127.0.0.1:0', routes: [route] },
          'stand-in': { listen: '127.0.0.1:0' },
        },
      },
      intentions: [{ from: 'app', to: '*', action: 'allow' }],
    };
    await drill(trial, scratch, mesh, 2_000, async ({ up, load }) => {
      const [before] = await models(up);
      const fromMs = performance.now();
      rmSync(works);
      process.kill(before!.pid!, 'SIGKILL');
      let last: ModelReport | undefined;
      const givenUp = async () => {
        [last] = await models(up);
        return last?.state === 'given-up';
      };
      trial.within('it is given up', 5_000, await measure(givenUp, 10_000, fromMs));
      const restarts = last!.restarts - before!.restarts;
      trial.figure('failed starts until then', String(restarts));
      trial.expect('it is started five times at most', restarts <= 5, `${restarts} times`);
      trial.figure('it says', last!.why);
      await delay(trial.pick(3_000, 12_000));
      const slow = (await models(up))[0]!.restarts - last!.restarts;
      trial.figure('slow retries', String(slow));
      const most = Math.ceil(trial.pick(3_000, 12_000) / retryAfterMs);
      trial.expect('after that it is tried now and then', slow <= most, `${slow} times, at most ${most}`);
      const calls = await load.between(fromMs, performance.now());
      const degraded = calls.filter((call) => call.degraded !== undefined).length;
      trial.figure('answered by the fallback', `${degraded} of ${calls.length}`);
      expectServed(trial, calls);
      writeFileSync(works, '');
      const repairedMs = performance.now();
      const isBack = async () => (await models(up))[0]!.state === 'ready';
      trial.within('repaired, it is ready', retryAfterMs + 5_000, await measure(isBack, 30_000, repairedMs));
      const readyMs = performance.now();
      const isCalled = async () => {
        const late = await load.between(performance.now() - 200, performance.now());
        return late.length > 0 && late.every((call) => call.degraded === undefined);
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
async function models(up: UpFacts): Promise<ModelReport[]> {
  const replicas = up.sidecars.filter(({ service }) => service === 'loop');
  return Promise.all(
    replicas.map(
      async (each) => JSON.parse((await admin(each.admin, '/endpoints')).body).model as ModelReport,
    ),
  );
}

/** Steps that take so long here and now. */
async function stepsFor(target: string, ms: number): Promise<number> {
  const probe = 200_000;
  const fromMs = performance.now();
  await infer(target, counting(probe), 30_000);
  return (probe * ms) / (performance.now() - fromMs);
}

function counting(steps: number): ModelInferRequest {
  const raw = Buffer.alloc(8);
  raw.writeBigInt64LE(BigInt(Math.round(steps)));
  return {
    model_name: 'loop',
    inputs: [{ name: 'n', datatype: 'INT64', shape: [] }],
    raw_input_contents: [raw],
  };
}

function infer(target: string, request: ModelInferRequest, deadlineMs: number): Promise<ModelInferResponse> {
  const { path, requestSerialize, responseDeserialize } = protocols().inference.ModelInfer;
  const client = new Client(target, credentials.createInsecure(), LOCAL_CHANNEL);
  const deadline = Date.now() + deadlineMs;
  return new Promise<ModelInferResponse>((resolve, reject) => {
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      { deadline },
      (error, answer) => {
        if (error === null) resolve(answer!);
        else reject(error);
      },
    );
  }).finally(() => client.close());
}

export const SUPERVISION_ROWS: readonly DecisionRow[] = [longRun, crashLoop];
