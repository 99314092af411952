/** Golden probes of real model services: frozen, busy, and of every datatype. */

import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Address } from '../../../sidecar/config/model.js';
import { GoldenProbes } from '../../../sidecar/health/model/golden-probe.js';
import { ModelHealth, type ModelStatusReport } from '../../../sidecar/health/model/model-health.js';
import type { ProbeAnswer } from '../../../sidecar/health/model/probe.js';
import { systemClock } from '../../../sidecar/runtime/time/clock.js';
import { systemTimers } from '../../../sidecar/runtime/time/timers.js';
import { DIGITS_MODELS, Scratch, startOutrider } from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';
import { TestClient, untilServing } from '../../kit/service/model-server.js';
import {
  arithmeticModel,
  type ElementType,
  identityModel,
  lookupModel,
  putLoopModel,
  putModel,
} from '../../kit/service/tiny-models.js';

describe('golden probe of a real model service', () => {
  let scratch: Scratch;
  const ending: (() => unknown)[] = [];

  beforeEach(() => {
    scratch = new Scratch();
  });

  afterEach(async () => {
    for (const end of ending.splice(0).reverse()) await end();
    scratch.remove();
  });

  function probes(models: string, at: string): GoldenProbes {
    const address: Address = { kind: 'unix', path: at };
    const made = GoldenProbes.open(models, address, systemTimers);
    ending.push(() => made.close());
    return made;
  }

  /** The digits model with a card whose text is changed. */
  function digitsWith(change: (card: string) => string): string {
    const models = join(scratch.path, 'models');
    cpSync(DIGITS_MODELS, models, { recursive: true });
    const file = join(models, 'digits/1/model.yaml');
    writeFileSync(file, change(readFileSync(file, 'utf8')));
    return models;
  }

  describe('digits', () => {
    let digits: Service;

    before(async function () {
      this.timeout(60_000);
      digits = await Service.start(DIGITS_MODELS);
    });

    after(() => digits?.stop());

    const digitsProbes = (models: string) => probes(models, digits.socket);

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
      const models = join(scratch.path, 'other');
      putModel(models, 'digits', Buffer.alloc(0), {
        golden: {
          inputs: { pixels: { shape: [1, 3], values: [1, 2, 3] } },
          outputs: { probabilities: { values: [1] } },
        },
      });
      putModel(models, 'letters', Buffer.alloc(0), {
        golden: { inputs: { x: { shape: [1], values: [1] } }, outputs: { y: { values: [1] } } },
      });
      const answer = await digitsProbes(models).ask(10_000);
      assert.equal(answer.kind, 'failed');
      assert.match(whyOf(answer), /^digits: the golden input got INVALID_ARGUMENT: .*pixels/);
    });

    it('says that the server does not know the model', async () => {
      const models = join(scratch.path, 'other');
      putModel(models, 'letters', Buffer.alloc(0), {
        golden: { inputs: { x: { shape: [1], values: [1] } }, outputs: { y: { values: [1] } } },
      });
      assert.match(
        whyOf(await digitsProbes(models).ask(10_000)),
        /^the golden input got NOT_FOUND: .*letters/,
      );
    });

    it('passes models of every datatype, several outputs, several models', async () => {
      const models = join(scratch.path, 'models');
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
      for (const [datatype, values] of Object.entries(golden)) {
        const tensors = { x: { shape: [values.length], values } };
        putModel(models, datatype.toLowerCase(), identityModel(datatype as ElementType), {
          golden: { inputs: tensors, outputs: { y: { values } } },
        });
      }
      putModel(models, 'arithmetic', arithmeticModel(), {
        golden: {
          inputs: { b: { shape: [1, 2], values: [3, 4] }, a: { shape: [1, 2], values: [1, 2] } },
          outputs: { product: { values: [3, 8] }, sum: { values: [4, 6] } },
        },
      });
      putModel(models, 'lookup', lookupModel(), {
        golden: { inputs: { i: { shape: [1, 1], values: [2] } }, outputs: { y: { values: [12] } } },
      });
      const service = await Service.start(models);
      ending.push(() => service.stop());
      assert.deepEqual(await probes(models, service.socket).ask(10_000), { kind: 'passed' });
    });

    it('is silent for a frozen one, and passes it again after', async () => {
      const { pid } = digits;
      const probe = digitsProbes(DIGITS_MODELS);
      assert.equal((await probe.ask(10_000)).kind, 'passed');
      process.kill(pid, 'SIGSTOP');
      assert.equal((await probe.ask(300)).kind, 'silent');
      assert.equal((await probe.ask(300)).kind, 'silent');
      process.kill(pid, 'SIGCONT');
      await until('it passes again', async () => (await probe.ask(2_000)).kind === 'passed');
    });

    it('together with the verdict: a frozen model is critical within seconds and good again at once', async () => {
      const { pid } = digits;
      const health = new ModelHealth({
        clock: systemClock,
        timers: systemTimers,
        probe: digitsProbes(DIGITS_MODELS),
        intervalMs: 200,
        activity: () => ({ inferences: 0, inFlight: 0, usualMs: 0, lastDeadlineMs: 0 }),
        phase: () => ({ kind: 'ready' }),
        onChange: () => {},
      });
      ending.push(() => health.close());
      health.start();
      await until('it passes', () => health.report().ok);
      process.kill(pid, 'SIGSTOP');
      await until('it is critical', () => !health.report().ok);
      assert.match(
        health.report().why,
        /has not answered for \d+ s: no inference completed and the golden input/,
      );
      process.kill(pid, 'SIGCONT');
      await until('it is good again', () => health.report().ok);
    });
  });

  it('has patience with a model that is at work: the question waits behind runs as long as they usually take', async () => {
    const models = join(scratch.path, 'models');
    putLoopModel(models);
    const service = await Service.start(models);
    ending.push(() => service.stop());
    const client = new TestClient(`unix:${service.socket}`);
    ending.push(() => client.close());
    const run = async (): Promise<number> => {
      const startMs = performance.now();
      const n = { name: 'n', datatype: 'INT64', shape: [], contents: { int64_contents: [500_000] } };
      await client.infer({ model_name: 'loop', inputs: [n] });
      return performance.now() - startMs;
    };
    const usualMs = await run();
    const verdicts: ModelStatusReport[] = [];
    const health = new ModelHealth({
      clock: systemClock,
      timers: systemTimers,
      probe: probes(models, service.socket),
      intervalMs: 100,
      // As if none of them ended well: only the golden input can speak for the model.
      activity: () => ({ inferences: 0, inFlight: 1, usualMs, lastDeadlineMs: 0 }),
      phase: () => ({ kind: 'ready' }),
      onChange: (verdict) => verdicts.push(verdict),
    });
    ending.push(() => health.close());
    health.start();
    for (let i = 0; i < 3; i++) await run();
    assert.deepEqual(verdicts, [{ ok: true, why: '' }]);
    assert.equal(health.probes().failed, 0);
  });
});

/** A real model service, SERVING. */
class Service {
  private constructor(
    private readonly scratch: Scratch,
    private readonly child: ChildProcess,
  ) {}

  static async start(models: string): Promise<Service> {
    const scratch = new Scratch();
    const socket = join(scratch.path, 's');
    const child = startOutrider(['serve', '--models', models, '--listen', `unix:${socket}`]);
    let said = '';
    child.stdout!.resume();
    child.stderr!.setEncoding('utf8').on('data', (part: string) => {
      said += part;
    });
    const exited = once(child, 'exit').then(() => {
      throw new Error(`the model service ended: ${said}`);
    });
    const client = new TestClient(`unix:${socket}`);
    try {
      await Promise.race([untilServing(client), exited]);
    } finally {
      exited.catch(() => {});
      client.close(); // which also ends the wait
    }
    return new Service(scratch, child);
  }

  get socket(): string {
    return join(this.scratch.path, 's');
  }

  /** Of the process that serves: `outrider serve` becomes it. */
  get pid(): number {
    return this.child.pid!;
  }

  async stop(): Promise<void> {
    const exited = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await exited;
    this.scratch.remove();
  }
}

function whyOf(answer: ProbeAnswer): string {
  return answer.kind === 'passed' ? '' : answer.why;
}
