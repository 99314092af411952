/**
 * Requests out of chance against a real model server: valid ones with bytes changed, cut, doubled and swapped, and tensors of
 * wild shapes. Every one is answered with a status that says what it is, and the process serves on.
 */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { status } from '@grpc/grpc-js';
import { protocols } from '../../../proto/load.js';
import type { InferParameter, ModelInferRequest } from '../../../proto/messages.js';
import { runs } from '../../kit/mocha/effort.js';
import {
  failure,
  spawnService,
  TestClient,
  temporaryDirectory,
  untilServing,
} from '../../kit/service/model-server.js';
import { putIdentityModel } from '../../kit/service/tiny-models.js';
import { seeded } from '../../kit/time/seeded-random.js';

/** The nightly run sets more. */
const REQUESTS = Number(process.env['OUTRIDER_FUZZ_REQUESTS'] ?? 3000);
const SIDE_BY_SIDE = 50;
/** The model keeps 100. */
const SEQUENCES = runs(2_000);
const { ModelInfer } = protocols().inference;
/** What a request can be answered with that is wrong, or asks for what is not there. */
const FAILURES = new Set([
  status.INVALID_ARGUMENT,
  status.NOT_FOUND,
  status.UNIMPLEMENTED,
  status.FAILED_PRECONDITION,
  status.RESOURCE_EXHAUSTED,
]);
const CODE = fileURLToPath(new URL('../../kit/service/counting-model.js', import.meta.url));

type Random = () => number;

const VALID: ModelInferRequest = {
  model_name: 'same',
  inputs: [{ name: 'x', datatype: 'FP32', shape: [1] }],
  raw_input_contents: [Buffer.alloc(4)],
};

function below(random: Random, bound: number): number {
  return Math.floor(random() * bound);
}

function pick<T>(random: Random, list: readonly T[]): T {
  return list[below(random, list.length)]!;
}

/** A request that is right, or nearly so. */
function likely(random: Random): ModelInferRequest {
  const isCounting = random() < 0.4;
  const sizes = [0, 1, 2, 3, -1, 2 ** 31, 2 ** 53, 1000];
  const rank = pick(random, [1, 1, 1, 1, 0, 2, 20]);
  const shape = random() < 0.6 ? [1] : Array.from({ length: rank }, () => pick(random, sizes));
  const parameters: Record<string, InferParameter> = {};
  if (random() < 0.3) {
    parameters['sequence_id'] = pick(random, [
      { uint64_param: below(random, 5) },
      { string_param: 'x'.repeat(below(random, 400)) },
      { double_param: Number.NaN },
      {},
    ]);
    parameters['sequence_start'] = pick(random, [{ bool_param: true }, { int64_param: 1 }, {}]);
  }
  if (random() < 0.2) parameters[pick(random, ['priority', 'timeout', '__proto__'])] = { int64_param: -1 };
  const data = Buffer.alloc(pick(random, [4, 4, 4, 8, 3, 0, 4000]), below(random, 256));
  const datatype = pick(
    random,
    isCounting ? ['INT32', 'INT32', 'INT32', 'FP32'] : ['FP32', 'FP32', 'FP32', 'BYTES'],
  );
  return {
    model_name: pick(random, isCounting ? ['counting', 'counting', 'countin'] : ['same', 'same', 'none']),
    inputs: [{ name: isCounting ? 'number' : 'x', datatype, shape, ...(random() < 0.1 && { contents: {} }) }],
    raw_input_contents: random() < 0.9 ? [data] : [data, data],
    parameters,
  };
}

/** The message with some of its bytes changed, cut off, doubled or moved. */
function mutated(random: Random, bytes: Buffer): Buffer {
  const out = Buffer.from(bytes);
  if (out.length === 0) return out;
  switch (below(random, 5)) {
    case 0:
      return out;
    case 1:
      for (let n = below(random, 4); n >= 0; n--) out[below(random, out.length)] = below(random, 256);
      return out;
    case 2:
      return out.subarray(0, below(random, out.length));
    case 3: {
      const at = below(random, out.length);
      return Buffer.concat([out.subarray(0, at), out.subarray(below(random, out.length)), out.subarray(at)]);
    }
    default:
      return Buffer.concat([out, Buffer.from(Array.from({ length: 16 }, () => below(random, 256)))]);
  }
}

describe('a model server under requests out of chance', function () {
  this.timeout(30_000 + REQUESTS * 20);
  let models: string;
  let service: ReturnType<typeof spawnService>;
  let client: TestClient;

  before(async () => {
    models = temporaryDirectory();
    putIdentityModel(models, 'same', 'FP32', [1]);
    // The requests out of chance leave sequences of `counting` behind: the case that counts them has a model of its own.
    for (const name of ['counting', 'bounded']) {
      const directory = join(models, name, '1');
      mkdirSync(directory, { recursive: true });
      writeFileSync(
        join(directory, 'model.yaml'),
        `code: ${relative(directory, CODE)}\nsequence: {max: 100}\nbatching: {max_batch: 8}\ngolden: {inputs: {number: {shape: [1], values: [3]}}, outputs: {total: {values: [3]}}}\n`,
      );
    }
    service = spawnService(['--models', models, '--listen', `unix:${models}/s`]);
    client = new TestClient(`unix:${models}/s`);
    await untilServing(client);
  });
  after(async () => {
    client.close();
    service.child.kill();
    await service.exited;
    rmSync(models, { recursive: true, force: true });
  });

  it('answers each with a status that says what it is, and serves on', async () => {
    const random = seeded(Number(process.env['PROPERTY_SEED'] ?? 11));
    const codes = new Map<number, number>();
    const count = (code: number) => codes.set(code, (codes.get(code) ?? 0) + 1);
    for (let sent = 0; sent < REQUESTS; sent += SIDE_BY_SIDE) {
      const requests = Array.from({ length: SIDE_BY_SIDE }, () =>
        random() < 0.1
          ? ModelInfer.requestSerialize(VALID)
          : mutated(random, ModelInfer.requestSerialize(likely(random))),
      );
      await Promise.all(
        requests.map(async (bytes) => {
          try {
            await client.bytes(ModelInfer, bytes);
            count(status.OK);
          } catch (error) {
            const { code, details } = error as { code: number; details: string };
            // What the model itself refuses is told as its failure.
            const isKnown = FAILURES.has(code) || /inference failed: minus two/.test(details);
            assert.ok(isKnown, `${code} ${details} for ${bytes.toString('base64')}`);
            assert.notEqual(details, '');
            count(code);
          }
        }),
      );
      assert.equal(service.child.exitCode, null, service.stderr());
    }
    assert.ok(codes.get(status.OK)! > REQUESTS / 15, JSON.stringify([...codes]));
    assert.ok(codes.get(status.INVALID_ARGUMENT)! > REQUESTS / 5, JSON.stringify([...codes]));
    const good = await client.infer(VALID);
    assert.equal(good.raw_output_contents[0]!.length, 4);
  });

  it('bounds thousands of sequences that never end, and serves those that can be kept', async () => {
    const ask = (id: number) =>
      client.infer({
        model_name: 'bounded',
        inputs: [{ name: 'number', datatype: 'INT32', shape: [1] }],
        raw_input_contents: [Buffer.alloc(4)],
        parameters: { sequence_id: { int64_param: id }, sequence_start: { bool_param: true } },
      });
    let kept = 0;
    const codes = new Set<number>();
    for (let id = 1_000_000; id < 1_000_000 + SEQUENCES; id += SIDE_BY_SIDE)
      await Promise.all(
        Array.from({ length: SIDE_BY_SIDE }, async (_, i) => {
          try {
            await ask(id + i);
            kept += 1;
          } catch (error) {
            codes.add((error as { code: number }).code);
          }
        }),
      );
    assert.ok(kept >= 100);
    assert.deepEqual([...codes], [status.RESOURCE_EXHAUSTED]);
    const { code } = await failure(
      client.infer({
        model_name: 'bounded',
        inputs: [{ name: 'number', datatype: 'INT32', shape: [1] }],
        raw_input_contents: [Buffer.alloc(4)],
        parameters: { sequence_id: { int64_param: 5_000_000 } },
      }),
    );
    assert.equal(code, status.FAILED_PRECONDITION);
  });
});
