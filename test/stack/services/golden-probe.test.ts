/** Golden probes of real model services: frozen, busy, and of every datatype. */

import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GoldenProbes } from '../../../sidecar/health/model/golden-probe.js';
import { ModelHealth, type ModelStatusReport } from '../../../sidecar/health/model/model-health.js';
import type { ProbeAnswer } from '../../../sidecar/health/model/probe.js';
import { systemClock } from '../../../sidecar/runtime/time/clock.js';
import { systemTimers } from '../../../sidecar/runtime/time/timers.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { EFFORT } from '../../kit/mocha/effort.js';
import { scratchForTest } from '../../kit/mocha/scratch.js';
import { DIGITS_MODELS, Scratch } from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';
import { spawnService, startHarness, TestClient, untilServing } from '../../kit/service/model-server.js';
import {
  arithmeticModel,
  type ElementType,
  lookupModel,
  putIdentityModel,
  putLoopModel,
  putModel,
} from '../../kit/service/tiny-models.js';

describe('golden probe of a real model service', function () {
  this.timeout(60_000);
  let models: string;
  beforeEach(() => {
    models = join(scratchForTest().path, 'models');
  });

  function probes(directory: string, at: string): GoldenProbes {
    const made = GoldenProbes.open(directory, { kind: 'unix', path: at }, { timers: systemTimers });
    afterTest(() => made.close());
    return made;
  }

  type HealthOptions = ConstructorParameters<typeof ModelHealth>[0];
  const IDLE = { inferences: 0, inFlight: 0, usualMs: 0, lastDeadlineMs: 0 };
  function startHealth(probe: GoldenProbes, over: Partial<HealthOptions>): ModelHealth {
    const health = new ModelHealth({
      clock: systemClock,
      timers: systemTimers,
      probe,
      intervalMs: 100,
      activity: () => IDLE,
      phase: () => ({ kind: 'ready' }),
      onChange: () => {},
      ...over,
    });
    afterTest(() => health.close());
    health.start();
    return health;
  }

  /** The digits model with a card whose text is changed. */
  function digitsWith(change: (card: string) => string): string {
    cpSync(DIGITS_MODELS, models, { recursive: true });
    const file = join(models, 'digits/1/model.yaml');
    writeFileSync(file, change(readFileSync(file, 'utf8')));
    return models;
  }

  describe('digits', () => {
    let digits: Awaited<ReturnType<typeof startService>>;

    before(async function () {
      this.timeout(60_000);
      digits = await startService(DIGITS_MODELS);
    });

    after(() => digits?.stop());

    const digitsProbes = (directory: string) => probes(directory, digits.socket);

    it('passes the digits model, again and again over one connection', async () => {
      const probe = digitsProbes(DIGITS_MODELS);
      for (let i = 0; i < 3; i++) assert.deepEqual(await probe.ask(10_000), { kind: 'passed' });
    });

    it('fails it against another expectation, and says which number is which', async () => {
      const probe = digitsProbes(digitsWith((card) => card.replace('0.1539226', '0.02')));
      assert.deepEqual(await probe.ask(10_000), {
        kind: 'wrong',
        why: 'golden output differs: probabilities[3] is 0.154, expected 0.02',
      });
    });

    it('fails it against a card of another shape, in the words of the model', async () => {
      const pixels = { shape: [1, 3], values: [1, 2, 3] };
      const golden = { inputs: { pixels }, outputs: { probabilities: { values: [1] } } };
      putModel(models, 'digits', Buffer.alloc(0), { golden });
      putIdentityModel(models, 'letters', 'FP32', [1]);
      const answer = await digitsProbes(models).ask(10_000);
      assert.equal(answer.kind, 'failed');
      assert.match(whyOf(answer), /^digits: the golden input got INVALID_ARGUMENT: .*pixels/);
    });

    it('says that the server does not know the model', async () => {
      putIdentityModel(models, 'letters', 'FP32', [1]);
      const answer = await digitsProbes(models).ask(10_000);
      assert.match(whyOf(answer), /^the golden input got NOT_FOUND: .*letters/);
    });

    it('passes models of every datatype, several outputs, several models', async () => {
      const golden: Partial<Record<ElementType, (number | boolean | string)[]>> = {
        FP32: [0.5, -1e30],
        FP64: [1 / 3],
        FP16: [0.25, -2],
        BOOL: [true, false],
        UINT8: [255],
        INT32: [-7],
        INT64: ['-9223372036854775808', 5],
        BYTES: ['ä', ''],
      };
      for (const [datatype, values] of Object.entries(golden))
        putIdentityModel(models, datatype.toLowerCase(), datatype as ElementType, values);
      const pairs = { b: { shape: [1, 2], values: [3, 4] }, a: { shape: [1, 2], values: [1, 2] } };
      const results = { product: { values: [3, 8] }, sum: { values: [4, 6] } };
      putModel(models, 'arithmetic', arithmeticModel(), { golden: { inputs: pairs, outputs: results } });
      const index = { inputs: { i: { shape: [1, 1], values: [2] } }, outputs: { y: { values: [12] } } };
      putModel(models, 'lookup', lookupModel(), { golden: index });
      const { server, stop } = await startHarness(models);
      afterTest(stop);
      const socket = server.target.replace(/^unix:/, '');
      assert.deepEqual(await probes(models, socket).ask(10_000), { kind: 'passed' });
    });

    it('is silent for a frozen one, and passes it again after', async () => {
      const { pid } = digits;
      const probe = digitsProbes(DIGITS_MODELS);
      assert.equal((await probe.ask(10_000)).kind, 'passed');
      process.kill(pid, 'SIGSTOP');
      assert.deepEqual([(await probe.ask(300)).kind, (await probe.ask(300)).kind], ['silent', 'silent']);
      process.kill(pid, 'SIGCONT');
      await until('it passes again', async () => (await probe.ask(2_000)).kind === 'passed');
    });

    it('together with the verdict: a frozen model is critical within seconds and good again at once', async () => {
      const { pid } = digits;
      const health = startHealth(digitsProbes(DIGITS_MODELS), { intervalMs: 200 });
      await until('it passes', () => health.report().ok);
      process.kill(pid, 'SIGSTOP');
      await until('it is critical', () => !health.report().ok);
      const why = /has not answered for \d+ s: no inference completed and the golden input/;
      assert.match(health.report().why, why);
      process.kill(pid, 'SIGCONT');
      await until('it is good again', () => health.report().ok);
    });
  });

  const slow = EFFORT > 1 ? it : () => {};
  slow(
    'has patience with a model that is at work: the question waits behind runs as long as they usually take',
    async () => {
      putLoopModel(models);
      const service = await startService(models);
      afterTest(() => service.stop());
      const client = new TestClient(`unix:${service.socket}`);
      afterTest(() => client.close());
      let startMs = performance.now();
      let longestMs = 0;
      const nowMs = () => Math.max(longestMs, performance.now() - startMs);
      const run = async (): Promise<void> => {
        startMs = performance.now();
        // Longer than the least patience, which is a second.
        const n = { name: 'n', datatype: 'INT64', shape: [], contents: { int64_contents: [2_000_000] } };
        await client.infer({ model_name: 'loop', inputs: [n] });
        longestMs = nowMs();
      };
      await run();
      const verdicts: ModelStatusReport[] = [];
      const health = startHealth(probes(models, service.socket), {
        // As if none of them ended well: only the golden input can speak for the model.
        activity: () => ({ ...IDLE, inFlight: 1, usualMs: nowMs() }),
        onChange: (verdict) => verdicts.push(verdict),
      });
      for (let i = 0; i < 3; i++) await run();
      assert.deepEqual(verdicts, [{ ok: true, why: '' }]);
      assert.equal(health.probes().failed, 0);
    },
  );
});

/** A real model service, SERVING. */
async function startService(models: string) {
  const scratch = new Scratch();
  const socket = join(scratch.path, 's');
  const { child, exited, stderr } = spawnService(['--models', models, '--listen', `unix:${socket}`]);
  const client = new TestClient(`unix:${socket}`);
  const code = await Promise.race([untilServing(client), exited]);
  client.close(); // which also ends the wait
  assert.equal(code, undefined, `the model service ended: ${stderr()}`);
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
    scratch.remove();
  };
  return { socket, pid: child.pid!, stop };
}

function whyOf(answer: ProbeAnswer): string {
  return answer.kind === 'passed' ? '' : answer.why;
}
