/** Golden probes of real model services, and of foreign servers that answer as they like. */

import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import { join } from 'node:path';
import fc from 'fast-check';
import { protocols } from '../../../../proto/load.js';
import type { ModelInferResponse } from '../../../../proto/messages.js';
import { decodeInferResponse, decodeMetadataResponse } from '../../../../sidecar/codec/inference.js';
import type { Address } from '../../../../sidecar/config/model.js';
import { GoldenProbes } from '../../../../sidecar/health/model/golden-probe.js';
import { listModels } from '../../../../sidecar/health/model/model-directory.js';
import { ModelHealth, type ModelStatusReport } from '../../../../sidecar/health/model/model-health.js';
import type { ProbeAnswer } from '../../../../sidecar/health/model/probe.js';
import { systemClock } from '../../../../sidecar/runtime/time/clock.js';
import { systemTimers } from '../../../../sidecar/runtime/time/timers.js';
import { DIGITS_MODELS, Scratch, startOutrider } from '../../../kit/process/outrider.js';
import { until } from '../../../kit/process/processes.js';
import { TestClient, untilServing } from '../../../kit/service/model-server.js';
import {
  arithmeticModel,
  type ElementType,
  identityModel,
  lookupModel,
  putLoopModel,
  putModel,
} from '../../../kit/service/tiny-models.js';

const { inference } = protocols();
const INFER = inference.ModelInfer.path;

describe('golden probe', () => {
  let scratch: Scratch;
  const ending: (() => unknown)[] = [];

  beforeEach(() => {
    scratch = new Scratch();
  });

  afterEach(async () => {
    for (const end of ending.splice(0).reverse()) await end();
    scratch.remove();
  });

  const socket = () => join(scratch.path, 'model.sock');

  function probes(models: string, at = socket()): GoldenProbes {
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

  describe('of a real model service', () => {
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

  describe('of a foreign server', () => {
    const MODEL = {
      golden: { inputs: { x: { shape: [2], values: [1, 2] } }, outputs: { y: { values: [3, 4] } } },
    };

    /** `answers` gets path and request message, and gives the answer's message or a status. */
    async function serveForeign(answers: (path: string, message: Buffer) => Buffer | number): Promise<void> {
      const server: Http2Server = createServer();
      server.on('stream', (stream: ServerHttp2Stream, headers) => {
        const parts: Buffer[] = [];
        stream.on('error', () => {});
        stream.on('data', (part: Buffer) => parts.push(part));
        stream.on('end', () => {
          const answer = answers(String(headers[':path']), Buffer.concat(parts).subarray(5));
          const common = { ':status': 200, 'content-type': 'application/grpc' };
          if (typeof answer === 'number') {
            stream.respond({ ...common, 'grpc-status': String(answer) }, { endStream: true });
            return;
          }
          stream.respond(common, { waitForTrailers: true });
          stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
          const prefix = Buffer.alloc(5);
          prefix.writeUInt32BE(answer.length, 1);
          stream.end(Buffer.concat([prefix, answer]));
        });
      });
      await new Promise<void>((resolve) => server.listen(socket(), resolve));
      ending.push(() => new Promise<void>((resolve) => server.close(() => resolve())));
    }

    const UNIMPLEMENTED = 12;

    async function ask(response: Partial<ModelInferResponse> | Buffer | number): Promise<ProbeAnswer> {
      const answer =
        typeof response === 'number' || Buffer.isBuffer(response)
          ? response
          : inference.ModelInfer.responseSerialize(response as ModelInferResponse);
      await serveForeign((path) => (path === INFER ? answer : UNIMPLEMENTED));
      const models = join(scratch.path, 'foreign');
      putModel(models, 'm', Buffer.alloc(0), MODEL);
      return probes(models).ask(5_000);
    }

    const y = (values: number[], more: object = {}) => ({
      outputs: [
        { name: 'other', datatype: 'INT64', shape: [1], contents: { int64_contents: [-1] } },
        { name: 'y', datatype: 'FP32', shape: [values.length], contents: { fp32_contents: values }, ...more },
      ],
    });

    it('sends what the protocol says: names, version, FP32 where nobody says otherwise, raw contents', async () => {
      const requests: unknown[] = [];
      await serveForeign((path, message) => {
        if (path !== INFER) return UNIMPLEMENTED;
        requests.push(inference.ModelInfer.requestDeserialize(message));
        return inference.ModelInfer.responseSerialize(y([3, 4]) as unknown as ModelInferResponse);
      });
      const models = join(scratch.path, 'foreign');
      putModel(models, 'm', Buffer.alloc(0), MODEL, '7');
      putModel(models, 'm', Buffer.alloc(0), MODEL, '12');
      assert.deepEqual(await probes(models).ask(5_000), { kind: 'passed' });
      const [request] = requests as Record<string, unknown>[];
      assert.deepEqual([request!['model_name'], request!['model_version']], ['m', '12']);
      const [input] = request!['inputs'] as Record<string, unknown>[];
      assert.deepEqual([input!['name'], input!['datatype'], input!['shape']], ['x', 'FP32', ['2']]);
      const [raw] = request!['raw_input_contents'] as Buffer[];
      assert.deepEqual([raw!.readFloatLE(0), raw!.readFloatLE(4)], [1, 2]);
    });

    it('follows the version that is served since the server started again, and says what is wrong with its card', async () => {
      let served = '1';
      await serveForeign((path, message) => {
        if (path !== INFER) return UNIMPLEMENTED;
        const { model_version: version } = inference.ModelInfer.requestDeserialize(message);
        if (version !== served) return 5;
        return inference.ModelInfer.responseSerialize(y([3, 4]) as unknown as ModelInferResponse);
      });
      const models = join(scratch.path, 'foreign');
      putModel(models, 'm', Buffer.alloc(0), MODEL, '1');
      const probe = probes(models);
      assert.equal((await probe.ask(5_000)).kind, 'passed');
      putModel(models, 'm', Buffer.alloc(0), MODEL, '2');
      assert.equal((await probe.ask(5_000)).kind, 'passed', 'it is there, and not served yet');
      served = '2';
      assert.equal(whyOf(await probe.ask(5_000)), 'the golden input got NOT_FOUND');
      assert.equal((await probe.ask(5_000)).kind, 'passed');
      putModel(models, 'm', Buffer.alloc(0), {}, '3');
      served = '3';
      await probe.ask(5_000);
      assert.match(whyOf(await probe.ask(5_000)), /m\/3\/model\.yaml: golden: missing/);
      putModel(models, 'm', Buffer.alloc(0), MODEL, '3');
      assert.equal((await probe.ask(5_000)).kind, 'passed');
    });

    it('understands typed contents', async () => assert.deepEqual(await ask(y([3, 4])), { kind: 'passed' }));

    it('compares text and integers exactly', async () => {
      const answer = await ask({
        outputs: [{ name: 'y', datatype: 'INT32', shape: [2], contents: { int_contents: [3, -4] } }],
      } as Partial<ModelInferResponse>);
      assert.equal(whyOf(answer), 'golden output differs: y[1] is -4, expected 4');
    });

    for (const [name, response, why] of [
      ['NaN', y([3, Number.NaN]), 'golden output differs: y[1] is NaN, expected 4'],
      ['a missing output', { outputs: [] }, 'golden output differs: y is missing'],
      ['too few elements', y([3]), 'golden output differs: y has 1 elements, expected 2'],
      [
        'a shape that lies',
        y([3, 4], { shape: [5] }),
        /^the golden output cannot be read: y: found 2 elements/,
      ],
      [
        'a made-up datatype',
        y([3, 4], { datatype: 'FP7' }),
        /^the golden output cannot be read: y has the datatype 'FP7'/,
      ],
      ['bytes that are no message', Buffer.from([0x2a, 0xff]), /^the golden output cannot be read: /],
      ['UNAVAILABLE', 14, 'the golden input got UNAVAILABLE'],
    ] as const)
      it(`fails ${name}`, async () => {
        const answer = await ask(response as Partial<ModelInferResponse>);
        assert.ok(answer.kind === 'wrong' || answer.kind === 'failed');
        if (typeof why === 'string') assert.equal(answer.why, why);
        else assert.match(answer.why, why);
      });

    it('takes DEADLINE_EXCEEDED for silence: a model that was too late said nothing', async () => {
      assert.equal((await ask(4)).kind, 'silent');
    });

    it('is silent when nobody listens', async () => {
      const models = join(scratch.path, 'foreign');
      putModel(models, 'm', Buffer.alloc(0), MODEL);
      assert.equal((await probes(models).ask(1_000)).kind, 'silent');
    });
  });

  it('says in one line why there is nothing to probe with', () => {
    assert.throws(() => probes('/nowhere'), /^Error: model directory \/nowhere cannot be read: ENOENT$/);
    assert.throws(() => probes(scratch.path), /found no models/);
    putModel(scratch.path, 'm', Buffer.alloc(0), { description: 'no golden block' });
    assert.throws(() => probes(scratch.path), /m\/1\/model\.yaml: golden: missing/);
  });

  it('lists models with their highest version', () => {
    for (const version of ['2', '10', '9']) putModel(scratch.path, 'b', Buffer.alloc(0), {}, version);
    putModel(scratch.path, 'a', Buffer.alloc(0), {}, '1');
    putModel(scratch.path, '.hidden', Buffer.alloc(0), {}, '1');
    putModel(scratch.path, 'unfinished', Buffer.alloc(0), {}, 'draft');
    const listed = listModels(scratch.path).map(({ name, version }) => `${name}:${version}`);
    assert.deepEqual(listed, ['a:1', 'b:10']);
  });

  it('reads whatever bytes without anything but a RangeError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        for (const decode of [decodeInferResponse, decodeMetadataResponse]) {
          try {
            decode(Buffer.from(bytes));
          } catch (error) {
            assert.ok(error instanceof RangeError);
          }
        }
      }),
      { numRuns: 2_000 },
    );
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
