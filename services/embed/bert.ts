/**
 * Writes a BERT encoder of safetensors weights as an ONNX graph, with mean pooling and L2 normalisation behind it, which
 * makes sentence embeddings of it. Inputs: `input_ids` and `attention_mask` INT64 [rows, tokens], 1 for a token and 0 for
 * padding. Output: `embedding` FP32 [rows, hidden], each of length 1; padding does not change it.
 */

import { Graph } from '../onnx/graph.js';
import type { Safetensors } from './safetensors.js';

/** LayerNormalization is an operator since 17. */
const OPSET = 17;
/** What a padded position gets on its score: its weight becomes 0 in single precision. */
const MASKED = -10_000;
/** A text without tokens would be divided by 0. */
const LEAST = 1e-9;

/** What the tensors do not tell. */
export interface BertConfig {
  readonly num_attention_heads: number;
  readonly layer_norm_eps: number;
  readonly hidden_act: string;
  readonly position_embedding_type?: string;
}

/** The ONNX file. Throws an Error for a config that is not computed here, and for tensors that are missing. */
export function bertToOnnx(tensors: Safetensors, config: BertConfig): Buffer {
  if (config.hidden_act !== 'gelu') throw new Error(`found hidden_act ${config.hidden_act}, expected gelu`);
  if ((config.position_embedding_type ?? 'absolute') !== 'absolute')
    throw new Error(`found positions ${config.position_embedding_type}, expected absolute`);
  const writer = new BertWriter(tensors, config);
  return writer.write();
}

class BertWriter {
  private readonly graph = new Graph('bert');
  private readonly hidden: number;
  private readonly head: number;

  constructor(
    private readonly tensors: Safetensors,
    private readonly config: BertConfig,
  ) {
    this.hidden = tensors.get('embeddings.word_embeddings.weight').shape[1]!;
    this.head = this.hidden / config.num_attention_heads;
    if (!Number.isInteger(this.head))
      throw new Error(`found ${config.num_attention_heads} heads, expected a divisor of ${this.hidden}`);
  }

  write(): Buffer {
    const { graph } = this;
    for (const name of ['input_ids', 'attention_mask'])
      graph.input({ name, datatype: 'INT64', dims: ['rows', 'tokens'] });
    const mask = graph.node('Cast', ['attention_mask'], 'mask', { to: 1 });
    const scores = this.maskScores(mask);
    let x = this.embeddings();
    for (let l = 0; this.tensors.has(`encoder.layer.${l}.output.dense.weight`); l++)
      x = this.layer(l, x, scores);
    this.pool(x, mask);
    graph.output({ name: 'embedding', datatype: 'FP32', dims: ['rows', this.hidden] });
    return graph.encode(OPSET);
  }

  /** Words, plus positions with the one segment that there is. */
  private embeddings(): string {
    const { graph, tensors, hidden } = this;
    const words = this.table('embeddings.word_embeddings.weight');
    const positions = tensors.floats('embeddings.position_embeddings.weight');
    const segment = tensors.floats('embeddings.token_type_embeddings.weight').subarray(0, hidden);
    for (let i = 0; i < positions.length; i++) positions[i]! += segment[i % hidden]!;
    const table = graph.weights('positions', [positions.length / hidden, hidden], positions);
    const shape = graph.node('Shape', ['input_ids'], 'shape');
    const length = graph.node('Gather', [shape, graph.integers('one', [1])], 'length');
    const zero = graph.integers('zero', [0]);
    const own = graph.node('Slice', [table, zero, length, zero], 'own_positions');
    const word = graph.node('Gather', [words, 'input_ids'], 'words_of_ids');
    return this.norm('embeddings.LayerNorm', graph.node('Add', [word, own], 'embedded'));
  }

  /** [rows, 1, 1, tokens]: 0 for a token, MASKED for padding. */
  private maskScores(mask: string): string {
    const { graph } = this;
    const absent = graph.node('Sub', [graph.weights('one_float', [], [1]), mask], 'absent');
    const scores = graph.node('Mul', [absent, graph.weights('masked', [], [MASKED])], 'mask_scores');
    return graph.node('Unsqueeze', [scores, graph.integers('mask_axes', [1, 2])], 'mask_of_heads');
  }

  private layer(l: number, x: string, maskScores: string): string {
    const { graph } = this;
    const at = `encoder.layer.${l}`;
    const context = this.attention(`${at}.attention.self`, x, maskScores);
    const attended = this.dense(`${at}.attention.output.dense`, context);
    const middle = this.norm(
      `${at}.attention.output.LayerNorm`,
      graph.node('Add', [attended, x], `${at}.attended`),
    );
    const wide = this.gelu(at, this.dense(`${at}.intermediate.dense`, middle));
    const narrow = this.dense(`${at}.output.dense`, wide);
    return this.norm(`${at}.output.LayerNorm`, graph.node('Add', [narrow, middle], `${at}.added`));
  }

  /** Queries, keys and values are one product; the factor 1 ÷ √size of the scores is in the weights of the queries. */
  private attention(at: string, x: string, maskScores: string): string {
    const { graph, hidden, head } = this;
    const parts = ['query', 'key', 'value'].map((part) => this.transposed(`${at}.${part}`));
    const factors = [1 / Math.sqrt(head), 1, 1];
    const weights = new Float32Array(hidden * 3 * hidden);
    const bias = new Float32Array(3 * hidden);
    parts.forEach((part, p) => {
      const factor = factors[p]!;
      for (let row = 0; row < hidden; row++)
        for (let column = 0; column < hidden; column++)
          weights[(row * 3 + p) * hidden + column] = part.weights[row * hidden + column]! * factor;
      part.bias.forEach((value, i) => {
        bias[p * hidden + i] = value * factor;
      });
    });
    const product = graph.node(
      'MatMul',
      [x, graph.weights(`${at}.weight`, [hidden, 3 * hidden], weights)],
      `${at}.product`,
    );
    const all = graph.node('Add', [product, graph.weights(`${at}.bias`, [3 * hidden], bias)], `${at}.all`);
    const outputs = ['queries', 'keys', 'values'].map((part) => `${at}.${part}`);
    const [queries, keys, values] = graph.split('Split', [all], { outputs, attributes: { axis: -1 } });
    const scores = graph.node(
      'MatMul',
      [this.heads(queries!, [0, 2, 1, 3]), this.heads(keys!, [0, 2, 3, 1])],
      `${at}.scores`,
    );
    const masked = graph.node('Add', [scores, maskScores], `${at}.masked`);
    const shares = graph.node('Softmax', [masked], `${at}.shares`, { axis: -1 });
    const mixed = graph.node('MatMul', [shares, this.heads(values!, [0, 2, 1, 3])], `${at}.mixed`);
    const back = graph.node('Transpose', [mixed], `${at}.back`, { perm: [0, 2, 1, 3] });
    return graph.node('Reshape', [back, this.shape('joined', [0, 0, hidden])], `${at}.context`);
  }

  /** [rows, tokens, hidden] → [rows, tokens, heads, size], transposed. */
  private heads(x: string, perm: readonly number[]): string {
    const { graph } = this;
    const shape = this.shape('split', [0, 0, this.config.num_attention_heads, this.head]);
    const split = graph.node('Reshape', [x, shape], `${x}.heads`);
    return graph.node('Transpose', [split], `${x}.turned`, { perm });
  }

  /** ½ x (1 + erf(x ÷ √2)), in the order that runtimes recognise and fuse. */
  private gelu(at: string, x: string): string {
    const { graph } = this;
    const constant = (name: string, value: number): string =>
      this.once(name, () => graph.weights(name, [], [value]));
    const scaled = graph.node('Div', [x, constant('root2', Math.SQRT2)], `${at}.scaled`);
    const erf = graph.node('Erf', [scaled], `${at}.erf`);
    const shifted = graph.node('Add', [erf, constant('gelu_one', 1)], `${at}.shifted`);
    const product = graph.node('Mul', [x, shifted], `${at}.gelu_product`);
    return graph.node('Mul', [product, constant('half', 0.5)], `${at}.gelu`);
  }

  /** The mean over the tokens, then of length 1. */
  private pool(x: string, mask: string): void {
    const { graph } = this;
    const least = graph.weights('least', [], [LEAST]);
    const axis = graph.integers('token_axis', [1]);
    const column = graph.node('Unsqueeze', [mask, graph.integers('last_axis', [-1])], 'mask_column');
    const kept = graph.node('Mul', [x, column], 'kept');
    const sum = graph.node('ReduceSum', [kept, axis], 'sum', { keepdims: 0 });
    const count = graph.node('ReduceSum', [column, axis], 'count', { keepdims: 0 });
    const mean = graph.node('Div', [sum, graph.node('Max', [count, least], 'count_or_least')], 'mean');
    const norm = graph.node('ReduceL2', [mean], 'norm', { axes: [-1], keepdims: 1 });
    graph.node('Div', [mean, graph.node('Max', [norm, least], 'norm_or_least')], 'embedding');
  }

  private dense(name: string, x: string): string {
    const { graph } = this;
    const { weights, bias, inputs, outputs } = this.transposed(name);
    const product = graph.node(
      'MatMul',
      [x, graph.weights(`${name}.weight`, [inputs, outputs], weights)],
      `${name}.product`,
    );
    return graph.node('Add', [product, graph.weights(`${name}.bias`, [outputs], bias)], `${name}.sum`);
  }

  private norm(name: string, x: string): string {
    const inputs = [x, this.table(`${name}.weight`), this.table(`${name}.bias`)];
    const attributes = { axis: -1, epsilon: { float: this.config.layer_norm_eps } };
    return this.graph.node('LayerNormalization', inputs, `${name}.normed`, attributes);
  }

  /** A tensor as it is. */
  private table(name: string): string {
    const { shape, bytes } = this.tensors.get(name);
    return this.graph.rawWeights(name, shape, bytes);
  }

  /** Weights are kept as [outputs, inputs]; a product with rows needs them the other way round. */
  private transposed(name: string) {
    const [outputs, inputs] = this.tensors.get(`${name}.weight`).shape as [number, number];
    const from = this.tensors.floats(`${name}.weight`);
    const weights = new Float32Array(from.length);
    for (let o = 0; o < outputs; o++)
      for (let i = 0; i < inputs; i++) weights[i * outputs + o] = from[o * inputs + i]!;
    return { weights, bias: this.tensors.floats(`${name}.bias`), inputs, outputs };
  }

  private shape(name: string, dims: readonly number[]): string {
    return this.once(`shape.${name}`, () => this.graph.integers(`shape.${name}`, dims));
  }

  private readonly made = new Set<string>();

  /** Adds a constant that several nodes use the first time only. */
  private once(name: string, add: () => string): string {
    if (!this.made.has(name)) {
      this.made.add(name);
      add();
    }
    return name;
  }
}
