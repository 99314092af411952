import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { type BertConfig, bertToOnnx } from '../../../../services/embed/bert.js';
import { Safetensors } from '../../../../services/embed/safetensors.js';
import { ModelSession } from '../../../../services/model-server/network/session.js';
import { scratchForTest } from '../../../kit/mocha/scratch.js';
import { seeded } from '../../../kit/time/seeded-random.js';

const HIDDEN = 4;
const HEADS = 2;
const WIDE = 6;
const WORDS = 9;
const LAYERS = 2;
const EPS = 1e-5;
const config: BertConfig = { num_attention_heads: HEADS, layer_norm_eps: EPS, hidden_act: 'gelu' };

type Matrix = number[][];
type Weights = Map<string, { shape: number[]; values: number[] }>;

/** Random weights of a small encoder. */
function smallWeights(): Weights {
  const random = seeded(11);
  const weights: Weights = new Map();
  const put = (name: string, ...shape: number[]): void => {
    const count = shape.reduce((a, b) => a * b, 1);
    weights.set(name, { shape, values: Array.from({ length: count }, () => random() * 2 - 1) });
  };
  const linear = (name: string, outputs: number, inputs: number): void => {
    put(`${name}.weight`, outputs, inputs);
    put(`${name}.bias`, outputs);
  };
  const norm = (name: string): void => {
    put(`${name}.weight`, HIDDEN);
    put(`${name}.bias`, HIDDEN);
  };
  put('embeddings.word_embeddings.weight', WORDS, HIDDEN);
  put('embeddings.position_embeddings.weight', 8, HIDDEN);
  put('embeddings.token_type_embeddings.weight', 2, HIDDEN);
  norm('embeddings.LayerNorm');
  for (let l = 0; l < LAYERS; l++) {
    const at = `encoder.layer.${l}`;
    for (const part of ['query', 'key', 'value']) linear(`${at}.attention.self.${part}`, HIDDEN, HIDDEN);
    linear(`${at}.attention.output.dense`, HIDDEN, HIDDEN);
    norm(`${at}.attention.output.LayerNorm`);
    linear(`${at}.intermediate.dense`, WIDE, HIDDEN);
    linear(`${at}.output.dense`, HIDDEN, WIDE);
    norm(`${at}.output.LayerNorm`);
  }
  return weights;
}

function fileOf(weights: Weights): Buffer {
  const entries: Record<string, unknown> = {};
  let end = 0;
  const data = [...weights].map(([name, { shape, values }]) => {
    const start = end;
    end += 4 * values.length;
    entries[name] = { dtype: 'F32', shape, data_offsets: [start, end] };
    return Buffer.from(new Float32Array(values).buffer);
  });
  const header = Buffer.from(JSON.stringify(entries));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, ...data]);
}

/** The definition of BERT in plain numbers, one text at a time, without padding. */
function expected(weights: Weights, ids: readonly number[]): number[] {
  const values = (name: string): number[] => weights.get(name)!.values;
  const row = (name: string, r: number): number[] => values(name).slice(r * HIDDEN, (r + 1) * HIDDEN);
  const linear = (name: string, x: Matrix): Matrix => {
    const [outputs, inputs] = weights.get(`${name}.weight`)!.shape as [number, number];
    const w = values(`${name}.weight`);
    const sum = (v: number[], o: number): number => v.reduce((s, f, i) => s + f * w[o * inputs + i]!, 0);
    return x.map((v) => Array.from({ length: outputs }, (_, o) => sum(v, o) + values(`${name}.bias`)[o]!));
  };
  const norm = (name: string, x: Matrix): Matrix =>
    x.map((v) => {
      const mean = v.reduce((a, b) => a + b, 0) / v.length;
      const variance = v.reduce((a, b) => a + (b - mean) ** 2, 0) / v.length;
      return v.map(
        (f, i) =>
          ((f - mean) / Math.sqrt(variance + EPS)) * values(`${name}.weight`)[i]! +
          values(`${name}.bias`)[i]!,
      );
    });
  const add = (a: Matrix, b: Matrix): Matrix => a.map((v, t) => v.map((f, i) => f + b[t]![i]!));
  const attention = (at: string, x: Matrix): Matrix => {
    const [q, k, v] = ['query', 'key', 'value'].map((part) => linear(`${at}.self.${part}`, x)) as [
      Matrix,
      Matrix,
      Matrix,
    ];
    const size = HIDDEN / HEADS;
    return x.map((_, t) =>
      Array.from({ length: HIDDEN }, (_, i) => {
        const first = Math.floor(i / size) * size;
        const score = (other: number[]): number => {
          let sum = 0;
          for (let s = first; s < first + size; s++) sum += q[t]![s]! * other[s]!;
          return Math.exp(sum / Math.sqrt(size));
        };
        const scores = k.map(score);
        const total = scores.reduce((a, b) => a + b, 0);
        return scores.reduce((sum, s, other) => sum + (s / total) * v[other]![i]!, 0);
      }),
    );
  };
  let x = norm(
    'embeddings.LayerNorm',
    ids.map((id, t) =>
      row('embeddings.word_embeddings.weight', id).map(
        (f, i) =>
          f +
          row('embeddings.position_embeddings.weight', t)[i]! +
          row('embeddings.token_type_embeddings.weight', 0)[i]!,
      ),
    ),
  );
  for (let l = 0; l < LAYERS; l++) {
    const at = `encoder.layer.${l}`;
    const mixed = linear(`${at}.attention.output.dense`, attention(`${at}.attention`, x));
    const middle = norm(`${at}.attention.output.LayerNorm`, add(mixed, x));
    const wide = linear(`${at}.intermediate.dense`, middle).map((v) => v.map(gelu));
    x = norm(`${at}.output.LayerNorm`, add(linear(`${at}.output.dense`, wide), middle));
  }
  const mean = Array.from({ length: HIDDEN }, (_, i) => x.reduce((s, v) => s + v[i]!, 0) / x.length);
  const length = Math.hypot(...mean);
  return mean.map((f) => f / length);
}

/** erf by its series, which converges for the small values here. */
function gelu(x: number): number {
  const z = x / Math.SQRT2;
  let term = z;
  let sum = z;
  for (let n = 1; n < 80; n++) {
    term *= (-z * z) / n;
    sum += term / (2 * n + 1);
  }
  return 0.5 * x * (1 + (2 / Math.sqrt(Math.PI)) * sum);
}

describe('a BERT encoder as ONNX', () => {
  it('computes what BERT is defined to, with padding and without', async () => {
    const weights = smallWeights();
    const file = `${scratchForTest().path}/model.onnx`;
    writeFileSync(file, bertToOnnx(new Safetensors(fileOf(weights)), config));
    const session = await ModelSession.load(file);
    const texts = [
      [1, 5, 3, 8, 2],
      [1, 7],
      [4, 4, 4],
    ];
    const width = 6;
    const padded = texts.flatMap((ids) => [...ids, ...new Array<number>(width - ids.length).fill(0)]);
    const mask = texts.flatMap((ids) => Array.from({ length: width }, (_, t) => (t < ids.length ? 1 : 0)));
    const tensor = (values: number[]) =>
      ({ datatype: 'INT64', dims: [3, width], data: BigInt64Array.from(values, BigInt) }) as const;
    const [embedding] = await session.run([tensor(padded), tensor(mask)], [0]);
    await session.release();
    const found = [...(embedding!.data as Float32Array)];
    texts
      .flatMap((ids) => expected(weights, ids))
      .forEach((value, i) => {
        assert.ok(Math.abs(value - found[i]!) < 1e-5, `element ${i}: found ${found[i]}, expected ${value}`);
      });
  });

  it('refuses what it does not compute, and tensors that are missing', () => {
    const tensors = new Safetensors(fileOf(smallWeights()));
    const attempt = (change: Partial<BertConfig>) => () => bertToOnnx(tensors, { ...config, ...change });
    assert.throws(attempt({ hidden_act: 'relu' }), { message: 'found hidden_act relu, expected gelu' });
    assert.throws(attempt({ position_embedding_type: 'relative_key' }), /expected absolute/);
    assert.throws(attempt({ num_attention_heads: 3 }), { message: 'found 3 heads, expected a divisor of 4' });
    const weights = smallWeights();
    weights.delete('encoder.layer.1.attention.self.key.bias');
    assert.throws(
      () => bertToOnnx(new Safetensors(fileOf(weights)), config),
      /there is no tensor encoder\.layer\.1\.attention\.self\.key\.bias/,
    );
  });
});
