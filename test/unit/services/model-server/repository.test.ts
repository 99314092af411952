import assert from 'node:assert/strict';
import { appendFileSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { protocols } from '../../../../proto/load.js';
import { RepositoryError } from '../../../../services/model-server/repository.js';
import {
  failure,
  type Harness,
  startHarness,
  temporaryDirectory,
} from '../../../kit/service/model-server.js';
import {
  arithmeticModel,
  identityModel,
  memoryHogModel,
  mixingModel,
  putModel,
} from '../../../kit/service/tiny-models.js';

const row = (...values: number[]) => ({ shape: [1, values.length], values });
const pairCard = (sum: number[]) => ({
  golden: { inputs: { a: row(1, 2), b: row(3, 4) }, outputs: { sum: { values: sum } } },
});
const one = (value: unknown) => ({
  golden: { inputs: { x: { shape: [1], values: [value] } }, outputs: { y: { values: [value] } } },
});

/** What is wrong with the model, how to make it so, and the reason it must give. */
const faults: [string, (models: string) => void, RegExp][] = [
  [
    'a golden output that does not match',
    (m) => putModel(m, 'bad', arithmeticModel(), pairCard([4, 6.01])),
    /golden: output 'sum', element 1: found 6, expected 6.01\d* \(tolerance 0.0001\)/,
  ],
  [
    'a golden output of another size',
    (m) => putModel(m, 'bad', arithmeticModel(), pairCard([4])),
    /output 'sum': found 2 elements, expected 1/,
  ],
  [
    'a golden output it does not have',
    (m) =>
      putModel(m, 'bad', identityModel('FP32'), {
        golden: { ...one(1).golden, outputs: { z: { values: [1] } } },
      }),
    /golden: the model has no output 'z'/,
  ],
  [
    'a golden input it does not have',
    (m) => putModel(m, 'bad', arithmeticModel(), one(1)),
    /golden: the model has no input 'x'/,
  ],
  [
    'a golden input that is missing',
    (m) =>
      putModel(m, 'bad', arithmeticModel(), {
        golden: { inputs: { a: row(1, 2) }, outputs: { sum: { values: [1] } } },
      }),
    /golden: input 'b' is missing/,
  ],
  [
    'a golden input of the wrong shape',
    (m) =>
      putModel(m, 'bad', arithmeticModel(), {
        golden: { inputs: { a: row(1), b: row(1) }, outputs: { sum: { values: [1] } } },
      }),
    /golden: input 'a': found shape \[1,1\], expected \[-1,2\]/,
  ],
  [
    'no golden at all',
    (m) => putModel(m, 'bad', identityModel('FP32'), { description: 'x' }),
    /golden: missing; a model is served only after its golden input/,
  ],
  [
    'a file that is no model',
    (m) => putModel(m, 'bad', Buffer.from('garbage'), one(1)),
    /Protobuf parsing failed/,
  ],
  ['an empty file', (m) => putModel(m, 'bad', Buffer.alloc(0), one(1)), /\S/],
  ['a cut-off file', (m) => putModel(m, 'bad', arithmeticModel().subarray(0, 100), pairCard([4, 6])), /\S/],
  [
    'a file that is not the one of the card',
    (m) => putModel(m, 'bad', identityModel('FP32'), { ...one(1), sha256: 'ab'.repeat(32) }),
    /model.onnx has sha256 [0-9a-f]{64}, expected (ab){32}/,
  ],
  [
    'no model.onnx',
    (m) => rmSync(join(putModel(m, 'bad', Buffer.alloc(0), one(1)), 'model.onnx')),
    /model.onnx cannot be read: ENOENT/,
  ],
  [
    'no model.yaml',
    (m) => rmSync(join(putModel(m, 'bad', identityModel('FP32'), one(1)), 'model.yaml')),
    /model.yaml cannot be read: ENOENT/,
  ],
  [
    'a card that is no YAML',
    (m) => putModel(m, 'bad', identityModel('FP32'), 'golden: ['),
    /model.yaml is not YAML/,
  ],
  ['an empty card', (m) => putModel(m, 'bad', identityModel('FP32'), ''), /golden: missing/],
  [
    'an unknown key in the card',
    (m) => putModel(m, 'bad', identityModel('FP32'), { ...one(1), lables: ['a'] }),
    /model.yaml: .*lables/,
  ],
  [
    'several mistakes in the card, all named',
    (m) => putModel(m, 'bad', identityModel('FP32'), { ...one(1), batching: { max_batch: 0 }, sha256: 'x' }),
    /sha256: .*batching.max_batch: /,
  ],
  [
    'labels that fit no output',
    (m) => putModel(m, 'bad', arithmeticModel(), { ...pairCard([4, 6]), labels: ['a', 'b', 'c'] }),
    /labels: found 3, but no output has 3/,
  ],
  [
    'batching its shape does not allow',
    (m) =>
      putModel(m, 'bad', memoryHogModel(), {
        golden: { inputs: { n: { shape: [1], values: [2] } }, outputs: { top: { values: [0] } } },
        batching: { max_batch: 4 },
      }),
    /batching: 'n' has shape \[1\], expected a first dimension of any size/,
  ],
  [
    'rows that a batch would mix',
    (m) =>
      putModel(m, 'bad', mixingModel(), {
        golden: {
          inputs: { x: row(1, 2) },
          outputs: { y: { values: [2, 4] } },
        },
        batching: { max_batch: 4 },
      }),
    /batching: output 'y', element 0: found 1.66\d*, expected 2/,
  ],
  [
    'no version directory',
    (m) => mkdirSync(join(m, 'bad')),
    /no version directory, expected <name>\/1\/model.onnx/,
  ],
];

describe('a model repository', () => {
  let models: string;
  let harness: Harness | undefined;

  beforeEach(() => {
    models = temporaryDirectory();
  });
  afterEach(async () => {
    await harness?.stop();
    harness = undefined;
    rmSync(models, { recursive: true });
  });

  for (const [what, make, reason] of faults) {
    it(`keeps a model with ${what} NOT_READY with the reason, and serves its neighbour`, async () => {
      make(models);
      putModel(models, 'good', identityModel('FP32'), one(1));
      harness = await startHarness(models);
      const { inference, health } = protocols();
      const { client } = harness;
      assert.deepEqual(await client.call(inference.ModelReady, { name: 'bad' }), { ready: false });
      assert.match(String(client.trailers?.get('model-not-ready-reason')[0]), reason);
      const { properties, inputs } = await client.call(inference.ModelMetadata, { name: 'bad' });
      assert.equal(properties['state'], 'FAILED');
      assert.match(properties['reason']!, reason);
      assert.deepEqual(inputs, []);
      assert.ok(
        harness.log.some((line) => /^bad.*NOT READY: /.test(line) && reason.test(line)),
        harness.log.join('\n'),
      );
      assert.deepEqual(await client.call(health.Check, { service: 'bad' }), { status: 'NOT_SERVING' });
      assert.deepEqual(await client.call(health.Check, { service: 'good' }), { status: 'SERVING' });
      assert.deepEqual(await client.call(health.Check, {}), { status: 'SERVING' });
      assert.deepEqual(await client.call(inference.ServerReady, {}), { ready: true });
      assert.deepEqual(await client.call(inference.ModelReady, { name: 'good' }), { ready: true });
      assert.equal(harness.log.at(-1), 'serving 1 of 2 models');
    });
  }

  it('is not ready as a whole when none of its models is', async () => {
    const { inference, health } = protocols();
    for (const name of ['bad', 'worse']) putModel(models, name, Buffer.from('garbage'), one(1));
    harness = await startHarness(models);
    assert.deepEqual(await harness.client.call(health.Check, {}), { status: 'NOT_SERVING' });
    assert.deepEqual(await harness.client.call(inference.ServerReady, {}), { ready: false });
    for (const name of ['bad', 'worse'])
      assert.ok(harness.log.some((line) => line.startsWith(`${name} version 1: NOT READY: `)));
    assert.equal(harness.log.at(-1), 'serving 0 of 2 models');
  });

  it('serves the others when one cannot even be looked at, and says why', async () => {
    symlinkSync('endless', join(models, 'endless'));
    putModel(models, 'good', identityModel('FP32'), one(1));
    harness = await startHarness(models);
    const { inference, health } = protocols();
    assert.deepEqual(await harness.client.call(health.Check, {}), { status: 'SERVING' });
    assert.deepEqual(await harness.client.call(inference.ModelReady, { name: 'endless' }), { ready: false });
    assert.match(
      String(harness.client.trailers?.get('model-not-ready-reason')[0]),
      /endless cannot be read: ELOOP/,
    );
  });

  it('serves the models that are named, and knows nothing of the others', async () => {
    for (const name of ['a', 'b', 'c']) putModel(models, name, identityModel('FP32'), one(1));
    putModel(models, 'bad', Buffer.from('garbage'), one(1));
    harness = await startHarness(models, ['c', 'a']);
    assert.deepEqual([...harness.server.models.keys()], ['a', 'c']);
    const { health } = protocols();
    assert.deepEqual(await harness.client.call(health.Check, {}), { status: 'SERVING' });
    assert.equal((await failure(harness.client.call(health.Check, { service: 'b' }))).code, status.NOT_FOUND);
  });

  it('is refused when it lacks a model that is named, and says what is there', async () => {
    for (const name of ['a', 'b']) putModel(models, name, identityModel('FP32'), one(1));
    await assert.rejects(
      startHarness(models, ['a', 'x', 'y']),
      (e) => e instanceof RepositoryError && /: found 'a', 'b', expected 'x', 'y'$/.test(e.message),
    );
    rmSync(join(models, 'a'), { recursive: true });
    rmSync(join(models, 'b'), { recursive: true });
    await assert.rejects(startHarness(models, ['x']), /: found no model, expected 'x'$/);
  });

  it('serves a model whose rows depend on each other when its card declares no batching', async () => {
    putModel(models, 'm', mixingModel(), {
      golden: { inputs: { x: row(1, 2) }, outputs: { y: { values: [2, 4] } } },
    });
    harness = await startHarness(models);
    assert.equal(harness.server.models.get('m')!.state, 'ready');
  });

  it('serves the highest version, by number, and names it in the metadata', async () => {
    for (const version of ['2', '10', '9']) putModel(models, 'm', identityModel('FP32'), one(1), version);
    mkdirSync(join(models, 'm', 'old'));
    mkdirSync(join(models, 'm', '011'));
    harness = await startHarness(models);
    const { versions } = await harness.client.call(protocols().inference.ModelMetadata, { name: 'm' });
    assert.deepEqual(versions, ['10']);
    assert.deepEqual(
      await harness.client.call(protocols().inference.ModelReady, { name: 'm', version: '10' }),
      { ready: true },
    );
    const old = await failure(
      harness.client.call(protocols().inference.ModelReady, { name: 'm', version: '9' }),
    );
    assert.equal(old.code, status.NOT_FOUND);
  });

  it('is not ready when it is empty, and says what was expected', async () => {
    writeFileSync(join(models, 'README'), 'not a model');
    mkdirSync(join(models, '.git'));
    harness = await startHarness(models);
    assert.deepEqual(await harness.client.call(protocols().health.Check, {}), { status: 'NOT_SERVING' });
    assert.deepEqual(await harness.client.call(protocols().inference.ServerLive, {}), { live: true });
    assert.match(harness.log.join('\n'), /^no model in .*: not ready; expected .*\/<name>\/1\/model.onnx$/);
  });

  it('is refused at once when it does not exist or is a file', async () => {
    await assert.rejects(
      startHarness(join(models, 'missing')),
      (e) => e instanceof RepositoryError && /missing does not exist$/.test(e.message),
    );
    writeFileSync(join(models, 'file'), '');
    await assert.rejects(startHarness(join(models, 'file')), /file is not a directory/);
  });

  it('passes on what the card says', async () => {
    const card = {
      ...one(1),
      description: 'One thing',
      labels: ['α'],
      properties: { input_height: 28, normalise: 'no' },
    };
    const folder = putModel(models, 'm', identityModel('FP32'), card);
    appendFileSync(join(folder, 'model.yaml'), '\n# a comment\n');
    harness = await startHarness(models);
    const metadata = await harness.client.call(protocols().inference.ModelMetadata, { name: 'm' });
    assert.deepEqual(metadata, {
      name: 'm',
      versions: ['1'],
      platform: 'onnxruntime_onnx',
      inputs: [{ name: 'x', datatype: 'FP32', shape: ['-1'] }],
      outputs: [{ name: 'y', datatype: 'FP32', shape: ['-1'] }],
      properties: {
        input_height: '28',
        normalise: 'no',
        description: 'One thing',
        labels: '["α"]',
        max_batch: '1',
        state: 'READY',
      },
    });
  });
});
