/** Triton's extensions and models in code, over a real server and a stock gRPC client. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { protocols } from '../../../proto/load.js';
import type { InferParameter, ModelInferRequest, ModelStreamInferResponse } from '../../../proto/messages.js';
import { packageRoot } from '../../kit/process/package-root.js';
import {
  describeOverServers,
  failure,
  type Harness,
  TestClient,
  temporaryDirectory,
} from '../../kit/service/model-server.js';
import { Gate } from '../../kit/service/queue-jobs.js';
import { arithmeticModel, identityModel } from '../../kit/service/tiny-models.js';

const CODE = fileURLToPath(new URL('../../kit/service/counting-model.js', import.meta.url));
const DIGITS = join(packageRoot, 'services/digits/models');

function int32(number: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(number);
  return bytes;
}

function counting(number: number, parameters: Record<string, InferParameter> = {}): ModelInferRequest {
  return {
    model_name: 'counting',
    inputs: [{ name: 'number', datatype: 'INT32', shape: [1] }],
    raw_input_contents: [int32(number)],
    parameters,
  };
}

const GOLDEN = 'golden: {inputs: {number: {shape: [1], values: [3]}}, outputs: {total: {values: [3]}}}\n';

/** The counting model as DIR/counting/VERSION with these lines in its card. */
function putCounting(models: string, card: string, version = '1', name = 'counting'): void {
  const directory = join(models, name, version);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'model.yaml'), `code: ${relative(directory, CODE)}\n${card}${GOLDEN}`);
}

describeOverServers('Triton extensions of the model server', (startHarness) => {
  let models: string;
  let harness: Harness;
  const { inference } = protocols();
  beforeEach(() => {
    models = temporaryDirectory();
  });
  afterEach(async () => {
    await harness.stop();
    rmSync(models, { recursive: true, force: true });
  });

  const total = async (request: ModelInferRequest): Promise<number> => {
    const { raw_output_contents } = await harness.client.infer(request);
    return Buffer.from(raw_output_contents[0]!).readInt32LE();
  };
  const sequence = (id: number, more: Record<string, InferParameter> = {}) => ({
    sequence_id: { uint64_param: id },
    ...more,
  });
  const START = { sequence_start: { bool_param: true } };
  const END = { sequence_end: { bool_param: true } };

  it('a model in code answers by name, gets parameters, and tells a wrong request from a defect', async () => {
    putCounting(models, '');
    harness = await startHarness(models);
    const answer = await harness.client.infer(counting(5, { mode: { string_param: 'x' } }));
    assert.equal(answer.parameters?.['mode']?.string_param, 'x');
    assert.equal(answer.parameters?.['name']?.string_param, 'counting');
    const wrong = await failure(harness.client.infer(counting(-1)));
    assert.equal(wrong.code, status.INVALID_ARGUMENT);
    assert.match(wrong.details, /model 'counting': input 'number': found -1, expected 0 or more/);
    const defect = await failure(harness.client.infer(counting(-2)));
    assert.deepEqual(
      [defect.code, defect.details],
      [status.INTERNAL, "model 'counting': inference failed: minus two"],
    );
    const missing = await failure(
      harness.client.infer(counting(1, { upstream: { string_param: 'leaf-a' } })),
    );
    assert.match(missing.details, /upstream 'leaf-a': OUTRIDER_UPSTREAM_LEAF_A is not set/);
  });

  it('a model in code that refuses to open, or whose golden is wrong, never gets a call and says why', async () => {
    putCounting(models, 'settings: {refuse: true}\n');
    putCounting(models, 'batching: {max_batch: 4}\n', '1', 'good');
    mkdirSync(join(models, 'lost/1'), { recursive: true });
    writeFileSync(join(models, 'lost/1/model.yaml'), `code: ./nothing.js\n${GOLDEN}`);
    harness = await startHarness(models);
    const states = Object.fromEntries(
      harness.server.models.all().map(({ name, state, why }) => [name, `${state} ${why}`]),
    );
    assert.match(states['counting']!, /^failed code: .*counting-model.js: it was told to refuse$/);
    assert.match(states['lost']!, /^failed code: .*nothing.js: Cannot find module/);
    assert.equal(states['good'], 'ready ');
    assert.equal((await failure(harness.client.infer(counting(1)))).code, status.UNAVAILABLE);
  });

  it('a model in code that cannot be closed stops neither the others nor the server', async () => {
    const unclosable = 'settings: {unclosable: true}\n';
    putCounting(models, unclosable);
    mkdirSync(join(models, 'bad/1'), { recursive: true });
    const card = `code: ${relative(join(models, 'bad/1'), CODE)}\n${unclosable}${GOLDEN}`;
    writeFileSync(
      join(models, 'bad/1/model.yaml'),
      card.replace('total: {values: [3]}', 'total: {values: [4]}'),
    );
    harness = await startHarness(models, [], { control: 'explicit' });
    assert.match(harness.server.models.all('bad')[0]!.why, /found 3, expected 4/);
    await harness.client.call(inference.RepositoryModelUnload, { model_name: 'counting' });
    assert.deepEqual(
      harness.log.filter((line) => line.includes('not closed')),
      ['bad', 'counting'].map((name) => `${name} version 1: not closed: it was told not to close`),
    );
  });

  it('keeps the state of each sequence apart, ends it with its last request, and says when it is lost', async () => {
    putCounting(models, 'sequence: {max: 2, idle: 10s}\n');
    harness = await startHarness(models);
    assert.equal(await total(counting(1, sequence(7, START))), 1);
    assert.equal(await total(counting(10, sequence(8, START))), 10);
    assert.equal(await total(counting(2, sequence(7))), 3);
    assert.equal(await total(counting(20, sequence(8, END))), 30);
    assert.equal(await total(counting(4, sequence(7, END))), 7);
    const lost = await failure(harness.client.infer(counting(1, sequence(8))));
    assert.equal(lost.code, status.FAILED_PRECONDITION);
    assert.match(
      lost.details,
      /sequence '8' is not known: its last request was answered; expected sequence_start/,
    );
    const never = await failure(harness.client.infer(counting(1, sequence(99))));
    assert.match(never.details, /sequence '99' is not known: it was never started here/);
    await total(counting(1, sequence(1, START)));
    await total(counting(1, sequence(2, START)));
    const full = await failure(harness.client.infer(counting(1, sequence(3, START))));
    assert.equal(full.code, status.RESOURCE_EXHAUSTED);
    assert.match(full.details, /all 2 sequences are in use/);
  });

  it('hands a network the state of its sequence, which is no part of what callers see', async () => {
    const directory = join(models, 'sums/1');
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'model.onnx'), arithmeticModel());
    const one = 'shape: [1, 2], values: [1, 2]';
    writeFileSync(
      join(directory, 'model.yaml'),
      `sequence: {state: [{input: b, output: sum}]}\ngolden: {inputs: {a: {${one}}}, outputs: {product: {values: [0, 0]}}}\n`,
    );
    harness = await startHarness(models);
    const { inputs, outputs } = await harness.client.call(inference.ModelMetadata, { name: 'sums' });
    assert.deepEqual([inputs.map((t) => t.name), outputs.map((t) => t.name)], [['a'], ['product']]);
    const ask = async (more: Record<string, InferParameter>) => {
      const raw = Buffer.from(Float32Array.of(2, 3).buffer);
      const request = {
        model_name: 'sums',
        inputs: [{ name: 'a', datatype: 'FP32', shape: [1, 2] }],
        raw_input_contents: [raw],
        parameters: sequence(5, more),
      };
      const { raw_output_contents } = await harness.client.infer(request);
      return [0, 4].map((at) => Buffer.from(raw_output_contents[0]!).readFloatLE(at));
    };
    assert.deepEqual(await ask(START), [0, 0]);
    assert.deepEqual(await ask({}), [4, 9]); // 2 × 2, 3 × 3
    assert.deepEqual(await ask(END), [8, 18]);
  });

  describe('ModelStreamInfer', () => {
    const open = (metadata = new Metadata()) => {
      const { path, requestSerialize, responseDeserialize } = inference.ModelStreamInfer;
      return harness.client.client.makeBidiStreamRequest(
        path,
        requestSerialize,
        responseDeserialize,
        metadata,
      );
    };
    /** Everything that comes, and how it ended. */
    const collect = (call: ReturnType<typeof open>) => {
      const answers: ModelStreamInferResponse[] = [];
      call.on('data', (answer: ModelStreamInferResponse) => answers.push(answer));
      call.on('error', () => undefined);
      const ended = new Promise<number>((resolve) => call.on('status', ({ code }) => resolve(code)));
      return { answers, ended };
    };
    const numbers = (answers: readonly ModelStreamInferResponse[]) =>
      answers
        .filter((a) => a.infer_response!.raw_output_contents.length > 0)
        .map((a) => Buffer.from(a.infer_response!.raw_output_contents[0]!).readInt32LE());

    it('gives many answers for one request, and a last one that says so where it is asked for', async () => {
      putCounting(models, 'settings: {streams: true}\n');
      harness = await startHarness(models);
      const { config } = await harness.client.call(inference.ModelConfig, { name: 'counting' });
      assert.equal(config?.model_transaction_policy?.decoupled, true);
      const call = open();
      const { answers, ended } = collect(call);
      call.write({ ...counting(4), id: 'a' });
      call.write({ ...counting(2, { triton_enable_empty_final_response: { bool_param: true } }), id: 'b' });
      call.end();
      assert.equal(await ended, status.OK);
      const of = (id: string) => answers.filter((answer) => answer.infer_response!.id === id);
      assert.deepEqual(numbers(of('a')), [0, 1, 2, 3]);
      assert.equal(of('a').length, 4);
      assert.deepEqual(numbers(of('b')), [0, 1]);
      assert.equal(of('b').at(-1)!.infer_response!.parameters!['triton_final_response']!.bool_param, true);
    });

    it('answers a model of one answer likewise, and a request that fails with a message while the stream goes on', async () => {
      putCounting(models, '');
      harness = await startHarness(models);
      const call = open();
      const { answers, ended } = collect(call);
      for (const [id, number] of [
        ['1', 5],
        ['2', -1],
        ['3', 6],
      ] as const)
        call.write({ ...counting(number), id });
      call.end();
      assert.equal(await ended, status.OK);
      assert.deepEqual(numbers(answers).sort(), [5, 6]);
      const failed = answers.filter((answer) => answer.error_message !== '');
      assert.equal(failed.length, 1);
      assert.match(failed[0]!.error_message!, /found -1/);
      assert.equal(failed[0]!.infer_response!.id, '2');
    });

    it('ends with the status of a request that fails where the caller asks for it', async () => {
      putCounting(models, '');
      harness = await startHarness(models);
      const metadata = new Metadata();
      metadata.set('triton_grpc_error', 'true');
      const call = open(metadata);
      const { ended } = collect(call);
      call.write(counting(-1));
      assert.equal(await ended, status.INVALID_ARGUMENT);
    });

    it('lets a unary call between two answers of a stream, and ends the work of a stream that is cancelled', async () => {
      putCounting(models, 'settings: {streams: true}\n');
      harness = await startHarness(models);
      const [model] = harness.server.models.all('counting');
      const call = open();
      let seen = 0;
      const first = new Promise<void>((resolve) => {
        call.on('data', () => {
          seen += 1;
          resolve();
        });
      });
      call.on('error', () => undefined);
      call.write(counting(1_000_000_000));
      await first;
      const before = seen;
      await total(counting(1));
      assert.ok(seen < 1_000_000_000);
      assert.ok(before >= 1);
      call.cancel();
      while (model!.stats.pending > 0) await new Promise((resolve) => setImmediate(resolve));
      assert.equal(await total(counting(2)), 2);
      const { model_stats } = await harness.client.call(inference.ModelStatistics, { name: 'counting' });
      const { success, fail } = model_stats[0]!.inference_stats!;
      assert.deepEqual([success.count, fail.count], ['2', '0'], 'the unary calls; the stream is neither');
    });
  });

  it('gives the k largest elements with their labels', async () => {
    harness = await startHarness(DIGITS);
    const request = {
      model_name: 'digits',
      inputs: [{ name: 'pixels', datatype: 'FP32', shape: [1, 784] }],
      raw_input_contents: [Buffer.alloc(784 * 4)],
    };
    const { inputs, outputs } = await harness.client.call(inference.ModelMetadata, { name: 'digits' });
    request.inputs[0]!.name = inputs[0]!.name;
    const [name] = outputs.map((output) => output.name);
    const answer = await harness.client.infer({
      ...request,
      outputs: [{ name: name!, parameters: { classification: { int64_param: 3 } } }],
    });
    assert.deepEqual(answer.outputs[0]!.shape, ['1', '3']);
    assert.equal(answer.outputs[0]!.datatype, 'BYTES');
    const raw = Buffer.from(answer.raw_output_contents[0]!);
    const texts: string[] = [];
    for (let at = 0; at < raw.length; at += 4 + raw.readUInt32LE(at))
      texts.push(raw.toString('utf8', at + 4, at + 4 + raw.readUInt32LE(at)));
    assert.equal(texts.length, 3);
    for (const text of texts) assert.match(text, /^\d\.\d{6}:\d:\d$/);
    const values = texts.map((text) => Number(text.split(':')[0]));
    assert.deepEqual(
      values,
      values.toSorted((a, b) => b - a),
    );
  });

  it('tells configuration, statistics, settings and what is not served', async () => {
    harness = await startHarness(DIGITS, [], { control: 'explicit' });
    const { client } = harness;
    const { config } = await client.call(inference.ModelConfig, { name: 'digits' });
    assert.equal(config?.max_batch_size, 32);
    assert.deepEqual([config!.input[0]!.data_type, config!.input[0]!.dims], ['TYPE_FP32', ['784']]);
    const [input] = (await client.call(inference.ModelMetadata, { name: 'digits' })).inputs;
    await client.infer({
      model_name: 'digits',
      inputs: [{ name: input!.name, datatype: 'FP32', shape: [2, 784] }],
      raw_input_contents: [Buffer.alloc(2 * 784 * 4)],
    });
    const { model_stats } = await client.call(inference.ModelStatistics, { name: 'digits' });
    const [stats] = model_stats;
    assert.deepEqual(
      [stats!.inference_count, stats!.execution_count, stats!.inference_stats!.success.count],
      ['2', '1', '1'],
    );
    assert.ok(Number(stats!.inference_stats!.compute_infer.ns) > 0);
    assert.deepEqual(
      stats!.batch_stats.map((b) => b.batch_size),
      ['2'],
    );
    assert.ok(Number(stats!.memory_usage[0]!.byte_size) > 2 ** 20);
    const { extensions } = await client.call(inference.ServerMetadata, {});
    assert.ok(extensions.includes('statistics') && !extensions.includes('system_shared_memory'));
    assert.deepEqual((await client.call(inference.TraceSetting, {})).settings['trace_level']?.value, ['OFF']);
    assert.equal((await client.call(inference.LogSettings, {})).settings['log_info']?.bool_param, true);
    await client.call(inference.SystemSharedMemoryStatus, {});
    for (const call of [
      client.call(inference.SystemSharedMemoryRegister, { name: 'r' }),
      client.call(inference.CudaSharedMemoryUnregister, { name: 'r' }),
      client.call(inference.LogSettings, { settings: { log_info: { bool_param: false } } }),
      client.call(inference.RepositoryModelLoad, {
        model_name: 'digits',
        parameters: { 'file:1/model.onnx': { bytes_param: Buffer.from('x') } },
      }),
    ])
      assert.equal((await failure(call)).code, status.UNIMPLEMENTED);
  });

  it('loads a new version beside the one that serves, refuses a bad one with the reason, and unloads', async () => {
    putCounting(models, '');
    harness = await startHarness(models, [], { control: 'explicit' });
    const { client } = harness;
    const index = async () =>
      (await client.call(inference.RepositoryIndex, {})).models.map(
        ({ name, version, state }) => `${name} ${version} ${state}`,
      );
    putCounting(models, 'settings: {refuse: true}\n', '2');
    const refused = await failure(client.call(inference.RepositoryModelLoad, { model_name: 'counting' }));
    assert.match(refused.details, /failed to load 'counting' version 2: code: .*it was told to refuse/);
    assert.deepEqual(await index(), ['counting 1 READY', 'counting 2 UNAVAILABLE']);
    assert.equal((await client.infer(counting(1))).model_version, '1');
    putCounting(models, '', '3');
    await client.call(inference.RepositoryModelLoad, { model_name: 'counting' });
    assert.equal((await client.infer(counting(1))).model_version, '3');
    assert.deepEqual(await index(), ['counting 3 READY']);
    await client.call(inference.RepositoryModelUnload, { model_name: 'counting' });
    assert.equal((await failure(client.infer(counting(1)))).code, status.NOT_FOUND);
    assert.equal(
      (await failure(client.call(inference.RepositoryModelUnload, { model_name: 'counting' }))).code,
      status.NOT_FOUND,
    );
  });

  it('loads the code of a model as its file is now, under the same version too', async () => {
    const directory = join(models, 'counting/1');
    const put = (text: string) => {
      mkdirSync(directory, { recursive: true });
      writeFileSync(join(directory, 'own.mjs'), text);
      writeFileSync(join(directory, 'model.yaml'), `code: ./own.mjs\n${GOLDEN}`);
    };
    const source = (add: number) => `
      const spec = (name) => [{ name, datatype: 'INT32', shape: [1] }];
      const total = ({ inputs }) => {
        const number = inputs.number.data[0];
        return { datatype: 'INT32', dims: [1], data: Int32Array.of(number === 3 ? 3 : number + ${add}) };
      };
      const execute = async (requests) => requests.map((request) => ({ outputs: { total: total(request) } }));
      export const open = async () => ({ inputs: spec('number'), outputs: spec('total'), execute });`;
    put(source(10));
    harness = await startHarness(models, [], { control: 'explicit' });
    assert.equal(await total(counting(1)), 11);
    for (const add of [20, 10]) {
      put(source(add));
      await harness.client.call(inference.RepositoryModelLoad, { model_name: 'counting' });
      assert.equal(await total(counting(1)), 1 + add);
    }
  });

  it('is ready as a whole once a model is loaded into what was empty', async () => {
    harness = await startHarness(models, [], { control: 'explicit' });
    const { client, log } = harness;
    assert.equal((await client.call(inference.ServerReady, {})).ready, false, log.join());
    putCounting(models, '');
    await client.call(inference.RepositoryModelLoad, { model_name: 'counting' });
    assert.equal((await client.call(inference.ServerReady, {})).ready, true);
  });

  it('closes no model while a run of it is under way, though its caller has gone', async () => {
    const notes: string[] = [];
    const gate = new Gate();
    let begun = () => {};
    const hasBegun = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const next = async () => {
      begun();
      await gate.wait();
      notes.push('run ended');
      return { done: true };
    };
    const number = { name: 'number', datatype: 'INT32', shape: [1] };
    const outputs = [{ ...number, name: 'total' }];
    const close = async () => void notes.push('closed');
    Object.assign(globalThis, {
      heldModel: { inputs: [number], outputs, stream: () => ({ next }), close },
    });
    const directory = join(models, 'counting/1');
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'held.mjs'), 'export const open = async () => globalThis.heldModel;');
    writeFileSync(join(directory, 'model.yaml'), `code: ./held.mjs\n${GOLDEN}`);
    harness = await startHarness(models);
    const { path, requestSerialize, responseDeserialize } = inference.ModelStreamInfer;
    const call = harness.client.client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    call.on('error', () => {}).write(counting(1));
    await hasBegun;
    call.cancel();
    // Its connection ends too, so that nothing but the run is left to wait for.
    harness.client.close();
    const stopping = harness.server.stop();
    for (let i = 0; i < 200; i++) await new Promise((resolve) => setImmediate(resolve));
    gate.release();
    await stopping;
    assert.deepEqual(notes, ['run ended', 'closed']);
  });

  it('unloads a model although a stream of it is never read, and not before one that is read has ended', async () => {
    putCounting(models, 'settings: {streams: true}\n');
    harness = await startHarness(models, [], { control: 'explicit', unreadMs: 300 });
    const { client } = harness;
    const { path, requestSerialize, responseDeserialize } = inference.ModelStreamInfer;
    // Streams of one connection share its window: one that is not read would hold up the others.
    const apart = new TestClient(harness.server.target);
    const open = (number: number, { client: over }: TestClient) => {
      const metadata = new Metadata();
      metadata.set('triton_grpc_error', 'true');
      const call = over.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
      call.write(counting(number));
      call.end();
      return call;
    };
    const unread = open(1_000_000, apart);
    const ended = new Promise<ServiceError>((resolve) => unread.once('error', resolve));
    await once(unread, 'data');
    unread.pause();
    const read = open(3000, client);
    let answers = 0;
    let isUnloaded = false;
    read.on('data', () => {
      answers += 1;
      assert.equal(isUnloaded, false);
    });
    const readToEnd = once(read, 'end');
    await once(read, 'metadata');
    const unloading = client.call(inference.RepositoryModelUnload, { model_name: 'counting' }).then(() => {
      isUnloaded = true;
    });
    await readToEnd;
    assert.equal(answers, 3000);
    await unloading;
    assert.deepEqual(harness.server.models.all('counting'), []);
    unread.resume();
    const { code, details } = await ended;
    assert.equal(code, status.UNAVAILABLE);
    assert.match(
      details,
      /model 'counting' is being unloaded, and no answer of this stream has been read for \d+ ms/,
    );
  });

  it('says which execution provider the runtime lacks', async () => {
    const directory = join(models, 'same/1');
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'model.onnx'), identityModel('FP32'));
    writeFileSync(
      join(directory, 'model.yaml'),
      'runtime: {providers: [npu]}\ngolden: {inputs: {x: {shape: [1], values: [1]}}, outputs: {y: {values: [1]}}}\n',
    );
    harness = await startHarness(models);
    assert.match(
      harness.server.models.all('same')[0]!.why,
      /^runtime.providers: found 'npu', expected one of cpu/,
    );
  });
});
