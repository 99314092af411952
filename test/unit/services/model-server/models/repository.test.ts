import assert from 'node:assert/strict';
import { appendFileSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { protocols } from '../../../../../proto/load.js';
import { RepositoryError } from '../../../../../services/model-server/models/repository.js';
import {
  failure,
  type Harness,
  startHarness,
  temporaryDirectory,
} from '../../../../kit/service/model-server.js';
import {
  arithmeticModel,
  identityModel,
  memoryHogModel,
  mixingModel,
  putModel,
} from '../../../../kit/service/tiny-models.js';

const row = (...values: number[]) => ({ shape: [1, values.length], values });
const pairCard = (sum: number[]) => ({
  golden: { inputs: { a: row(1, 2), b: row(3, 4) }, outputs: { sum: { values: sum } } },
});
const one = (value: unknown) => ({
  golden: { inputs: { x: { shape: [1], values: [value] } }, outputs: { y: { values: [value] } } },
});

const mixingCard = { golden: { inputs: { x: row(1, 2) }, outputs: { y: { values: [2, 4] } } } };

/** Puts a model of the name `bad`. */
const bad = (model: Buffer, card: Parameters<typeof putModel>[3]) => (models: string) =>
  putModel(models, 'bad', model, card);

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

  const { inference, health } = protocols();
  const start = async (only: readonly string[] = []) => {
    harness = await startHarness(models, only);
    return harness;
  };
  const putGood = (...names: string[]) => {
    for (const name of names) putModel(models, name, identityModel('FP32'), one(1));
  };
  const check = (service = '') => harness!.client.call(health.Check, { service });
  const isReady = (name: string, version = '') =>
    harness!.client.call(inference.ModelReady, { name, version });
  const whyNot = () => String(harness!.client.trailers?.get('model-not-ready-reason')[0]);

  /** `make` puts the model; `because`: the reason that it must give. */
  const keeps = (what: string, make: (models: string) => void) => ({
    because: (reason: RegExp) =>
      it(`keeps a model with ${what} NOT_READY with the reason, and serves its neighbour`, async () => {
        make(models);
        putGood('good');
        const { client, log } = await start();
        assert.deepEqual(await isReady('bad'), { ready: false });
        assert.match(whyNot(), reason);
        const { properties, inputs } = await client.call(inference.ModelMetadata, { name: 'bad' });
        assert.equal(properties['state'], 'FAILED');
        assert.match(properties['reason']!, reason);
        assert.deepEqual(inputs, []);
        assert.ok(
          log.some((line) => /^bad.*NOT READY: /.test(line) && reason.test(line)),
          log.join('\n'),
        );
        assert.deepEqual(await check('bad'), { status: 'NOT_SERVING' });
        assert.deepEqual(await check('good'), { status: 'SERVING' });
        assert.deepEqual(await check(), { status: 'SERVING' });
        assert.deepEqual(await client.call(inference.ServerReady, {}), { ready: true });
        assert.deepEqual(await isReady('good'), { ready: true });
        assert.equal(log.at(-1), 'serving 1 of 2 models');
      }),
  });

  keeps('a golden output that does not match', bad(arithmeticModel(), pairCard([4, 6.01]))).because(
    /golden: output 'sum', element 1: found 6, expected 6.01\d* \(tolerance 0.0001\)/,
  );
  keeps('a golden output of another size', bad(arithmeticModel(), pairCard([4]))).because(
    /output 'sum': found 2 elements, expected 1/,
  );
  keeps(
    'a golden output it does not have',
    bad(identityModel('FP32'), { golden: { ...one(1).golden, outputs: { z: { values: [1] } } } }),
  ).because(/golden: the model has no output 'z'/);
  keeps('a golden input it does not have', bad(arithmeticModel(), one(1))).because(
    /golden: the model has no input 'x'/,
  );
  keeps(
    'a golden input that is missing',
    bad(arithmeticModel(), { golden: { inputs: { a: row(1, 2) }, outputs: { sum: { values: [1] } } } }),
  ).because(/golden: input 'b' is missing/);
  keeps(
    'a golden input of the wrong shape',
    bad(arithmeticModel(), {
      golden: { inputs: { a: row(1), b: row(1) }, outputs: { sum: { values: [1] } } },
    }),
  ).because(/golden: input 'a': found shape \[1,1\], expected \[-1,2\]/);
  keeps('no golden at all', bad(identityModel('FP32'), { description: 'x' })).because(
    /golden: missing; a model is served only after its golden input/,
  );
  keeps('a file that is no model', bad(Buffer.from('garbage'), one(1))).because(/Protobuf parsing failed/);
  keeps('an empty file', bad(Buffer.alloc(0), one(1))).because(/\S/);
  keeps('a cut-off file', bad(arithmeticModel().subarray(0, 100), pairCard([4, 6]))).because(/\S/);
  keeps(
    'a file that is not the one of the card',
    bad(identityModel('FP32'), { ...one(1), sha256: 'ab'.repeat(32) }),
  ).because(/model.onnx has sha256 [0-9a-f]{64}, expected (ab){32}/);
  keeps('no model.onnx', (m) => rmSync(join(bad(Buffer.alloc(0), one(1))(m), 'model.onnx'))).because(
    /model.onnx cannot be read: ENOENT/,
  );
  keeps('no model.yaml', (m) => rmSync(join(bad(identityModel('FP32'), one(1))(m), 'model.yaml'))).because(
    /model.yaml cannot be read: ENOENT/,
  );
  keeps('a card that is no YAML', bad(identityModel('FP32'), 'golden: [')).because(/model.yaml is not YAML/);
  keeps('an empty card', bad(identityModel('FP32'), '')).because(/golden: missing/);
  keeps('an unknown key in the card', bad(identityModel('FP32'), { ...one(1), lables: ['a'] })).because(
    /model.yaml: .*lables/,
  );
  keeps(
    'several mistakes in the card, all named',
    bad(identityModel('FP32'), { ...one(1), batching: { max_batch: 0 }, sha256: 'x' }),
  ).because(/sha256: .*batching.max_batch: /);
  keeps(
    'labels that fit no output',
    bad(arithmeticModel(), { ...pairCard([4, 6]), labels: ['a', 'b', 'c'] }),
  ).because(/labels: found 3, but no output has 3/);
  keeps(
    'batching its shape does not allow',
    bad(memoryHogModel(), {
      golden: { inputs: { n: { shape: [1], values: [2] } }, outputs: { top: { values: [0] } } },
      batching: { max_batch: 4 },
    }),
  ).because(/batching: 'n' has shape \[1\], expected a first dimension of any size/);
  keeps(
    'rows that a batch would mix',
    bad(mixingModel(), { ...mixingCard, batching: { max_batch: 4 } }),
  ).because(/batching: output 'y', element 0: found 1.66\d*, expected 2/);
  keeps('no version directory', (m) => mkdirSync(join(m, 'bad'))).because(
    /no version directory, expected <name>\/1\/model.onnx/,
  );

  it('is not ready as a whole when none of its models is', async () => {
    for (const name of ['bad', 'worse']) putModel(models, name, Buffer.from('garbage'), one(1));
    const { client, log } = await start();
    assert.deepEqual(await check(), { status: 'NOT_SERVING' });
    assert.deepEqual(await client.call(inference.ServerReady, {}), { ready: false });
    for (const name of ['bad', 'worse'])
      assert.ok(log.some((line) => line.startsWith(`${name} version 1: NOT READY: `)));
    assert.equal(log.at(-1), 'serving 0 of 2 models');
  });

  it('serves the others when one cannot even be looked at, and says why', async () => {
    symlinkSync('endless', join(models, 'endless'));
    putGood('good');
    await start();
    assert.deepEqual(await check(), { status: 'SERVING' });
    assert.deepEqual(await isReady('endless'), { ready: false });
    assert.match(whyNot(), /endless cannot be read: ELOOP/);
  });

  it('serves the models that are named, and knows nothing of the others', async () => {
    putGood('a', 'b', 'c');
    putModel(models, 'bad', Buffer.from('garbage'), one(1));
    const { server } = await start(['c', 'a']);
    assert.deepEqual(server.models.names(), ['a', 'c']);
    assert.deepEqual(await check(), { status: 'SERVING' });
    assert.equal((await failure(check('b'))).code, status.NOT_FOUND);
  });

  it('is refused when it lacks a model that is named, and says what is there', async () => {
    putGood('a', 'b');
    await assert.rejects(
      startHarness(models, ['a', 'x', 'y']),
      (e) =>
        e instanceof RepositoryError &&
        /--model: found 'x', 'y'; model directory .* has 'a', 'b'$/.test(e.message),
    );
    rmSync(join(models, 'a'), { recursive: true });
    rmSync(join(models, 'b'), { recursive: true });
    await assert.rejects(startHarness(models, ['x']), /--model: found 'x'; model directory .* has no model$/);
  });

  it('serves a model whose rows depend on each other when its card declares no batching', async () => {
    putModel(models, 'm', mixingModel(), mixingCard);
    const { server } = await start();
    assert.equal(server.models.all('m')[0]!.state, 'ready');
  });

  it('serves the highest version, by number, and names it in the metadata', async () => {
    for (const version of ['2', '10', '9']) putModel(models, 'm', identityModel('FP32'), one(1), version);
    mkdirSync(join(models, 'm', 'old'));
    mkdirSync(join(models, 'm', '011'));
    const { client } = await start();
    const { versions } = await client.call(inference.ModelMetadata, { name: 'm' });
    assert.deepEqual(versions, ['10']);
    assert.deepEqual(await isReady('m', '10'), { ready: true });
    const old = await failure(isReady('m', '9'));
    assert.equal(old.code, status.NOT_FOUND);
  });

  it('serves the version that is named, and is not ready where that is not there', async () => {
    for (const version of ['1', '2', '3']) putModel(models, 'good', identityModel('FP32'), one(1), version);
    await start(['good=2']);
    assert.deepEqual(await isReady('good', '2'), { ready: true });
    assert.equal((await failure(isReady('good', '3'))).code, 5);
    await harness!.stop();
    await start(['good=7']);
    assert.deepEqual(await isReady('good'), { ready: false });
    assert.match(whyNot(), /no version directory, expected .*good\/7$/);
  });

  it('takes a name that looks like a version of another model for what it is', async () => {
    putModel(models, 'good', identityModel('FP32'), one(1));
    putModel(models, 'good=1', identityModel('FP32'), one(1), '4');
    await start(['good=1']);
    assert.deepEqual(await isReady('good=1', '4'), { ready: true });
  });

  it('is not ready when it is empty, and says what was expected', async () => {
    writeFileSync(join(models, 'README'), 'not a model');
    mkdirSync(join(models, '.git'));
    const { client, log } = await start();
    assert.deepEqual(await check(), { status: 'NOT_SERVING' });
    assert.deepEqual(await client.call(inference.ServerLive, {}), { live: true });
    assert.match(log.join('\n'), /^no model in .*: not ready; expected .*\/<name>\/1\/model.onnx$/);
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
    const { client } = await start();
    const metadata = await client.call(inference.ModelMetadata, { name: 'm' });
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
