import '../no-telemetry.js'; // before the library

import { InferenceSession, listSupportedBackends, Tensor as OrtTensor } from 'onnxruntime-node';
import type { Datatype, Elements, Tensor, TensorSpec } from '../../../proto/datatypes.js';
import { elementBytes } from '../../../proto/datatypes.js';

const ortTypes: Readonly<Record<Exclude<Datatype, 'BF16'>, OrtTensor.Type>> = {
  BOOL: 'bool',
  UINT8: 'uint8',
  UINT16: 'uint16',
  UINT32: 'uint32',
  UINT64: 'uint64',
  INT8: 'int8',
  INT16: 'int16',
  INT32: 'int32',
  INT64: 'int64',
  FP16: 'float16',
  FP32: 'float32',
  FP64: 'float64',
  BYTES: 'string',
};
const datatypes = new Map(Object.entries(ortTypes).map(([datatype, type]) => [type, datatype as Datatype]));

/** `runtime` of model.yaml. */
export interface SessionOptions {
  readonly threads: number;
  readonly graph_optimization: 'disabled' | 'basic' | 'extended' | 'all';
  readonly providers: readonly string[];
}

const DEFAULTS: SessionOptions = { threads: 1, graph_optimization: 'all', providers: ['cpu'] };

/** Throws an Error that names the execution provider that the installed runtime lacks, and those that it has. */
function requireProviders(providers: readonly string[]): void {
  const there = listSupportedBackends().map(({ name }) => name);
  const missing = providers.find((provider) => !there.includes(provider));
  if (missing === undefined) return;
  throw new Error(
    `runtime.providers: found '${missing}', expected one of ${there.join(', ')} (of this machine's ONNX Runtime)`,
  );
}

/**
 * One loaded ONNX model. The only importer of onnxruntime-node.
 * A run blocks this thread until it is done, so the caller of `run` decides what everything else waits for (runs/queue.ts).
 * One thread per session unless told otherwise, and no spinning: a model service scales by processes.
 */
export class ModelSession {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  private readonly session: InferenceSession;
  private readonly outputNames: readonly string[];

  private constructor(session: InferenceSession) {
    this.session = session;
    this.inputs = session.inputMetadata.map((m) => specOf(m, 'input'));
    this.outputs = session.outputMetadata.map((m) => specOf(m, 'output'));
    this.outputNames = this.outputs.map((o) => o.name);
  }

  /** Blocks the thread while the file is read and optimised. Rejects with the runtime's words for what is wrong. */
  static async load(path: string, options: SessionOptions = DEFAULTS): Promise<ModelSession> {
    requireProviders(options.providers);
    const session = await InferenceSession.create(path, {
      executionProviders: [...options.providers],
      graphOptimizationLevel: options.graph_optimization,
      intraOpNumThreads: options.threads,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      logSeverityLevel: 4,
      extra: { session: { intra_op: { allow_spinning: '0' }, inter_op: { allow_spinning: '0' } } },
    });
    try {
      return new ModelSession(session);
    } catch (error) {
      await session.release();
      throw error;
    }
  }

  /** `inputs` in the order of `this.inputs`; the answer in the order of `this.outputs`, one for each of `wanted`. */
  async run(inputs: readonly Tensor[], wanted: readonly number[]): Promise<Tensor[]> {
    const feeds: Record<string, OrtTensor> = Object.create(null);
    this.inputs.forEach((spec, i) => {
      feeds[spec.name] = toOrt(inputs[i]!);
    });
    const fetches = wanted.map((i) => this.outputNames[i]!);
    const results = await this.session.run(feeds, fetches);
    return fetches.map((name) => fromOrt(results[name]!));
  }

  /** Gives the memory back; without it each session stays resident (notes: +6.7 MB per 10.8 MB model). */
  async release(): Promise<void> {
    await this.session.release();
  }
}

function specOf(m: InferenceSession.ValueMetadata, kind: string): TensorSpec {
  if (!m.isTensor) throw new Error(`${kind} '${m.name}' is not a tensor; only tensors can be served`);
  const datatype = datatypes.get(m.type);
  if (datatype === undefined) throw new Error(`${kind} '${m.name}' has the unsupported type ${m.type}`);
  return {
    name: m.name,
    datatype,
    shape: m.shape.map((d) => (typeof d === 'number' ? d : -1)),
    symbols: m.shape.map((d) => (typeof d === 'string' && d !== '' ? d : undefined)),
  };
}

/**
 * From Node 24 on there is a Float16Array. onnxruntime-common makes one of what it is given for FP16, and the binding of
 * onnxruntime-node 1.30 does not know it and reads no bytes ("not enough space: expected 6, got 0"). A Uint16Array it reads on every
 * version of Node, so the tensor gets that back.
 */
function toOrt({ datatype, dims, data }: Tensor): OrtTensor {
  const type = ortTypes[datatype as Exclude<Datatype, 'BF16'>];
  const tensor = new OrtTensor(type as 'float32', data as Float32Array, dims);
  if (datatype === 'FP16' && tensor.data !== (data as unknown))
    Object.defineProperty(tensor, 'cpuData', { value: data });
  return tensor;
}

function fromOrt(tensor: OrtTensor): Tensor {
  const datatype = datatypes.get(tensor.type);
  if (datatype === undefined) throw new Error(`an output has the unsupported type ${tensor.type}`);
  const data = tensor.data as Elements;
  if (datatype !== 'FP16' || Array.isArray(data)) return { datatype, dims: tensor.dims, data };
  const bits = new Uint16Array(data.buffer, data.byteOffset, data.byteLength / elementBytes('FP16'));
  return { datatype, dims: tensor.dims, data: bits };
}
