/**
 * Writes ONNX files: a graph is put together node by node, and encoded. The only importer of onnx-proto in services/. The
 * bytes depend on what is put in alone. Opset 13 by default: what is in it, every runtime since 2021 has.
 */

import onnxProto from 'onnx-proto';

const { onnx } = onnxProto;

/** Since this version of the operators, files have version 8 of the format. */
const NEWER_OPSET = 15;

/** Element types of values and tensors, by the protocol's names. */
const elementTypes = { FP32: 1, INT32: 6, INT64: 7, BYTES: 8, BOOL: 9 } as const;
/** A datatype that a graph can have. */
export type ElementType = keyof typeof elementTypes;

/** A dimension: its size, or the name of one of any size. */
export type Dimension = number | string;

/** An input or output of the graph. */
export interface GraphValue {
  readonly name: string;
  readonly datatype: ElementType;
  readonly dims: readonly Dimension[];
}

/** Attributes of a node: whole numbers are INT, lists of them INTS, text is STRING; `{ float: x }` is FLOAT. */
export type Attributes = Readonly<
  Record<string, number | readonly number[] | string | { readonly float: number }>
>;

/** What a node of several outputs has. */
export interface SeveralOutputs {
  readonly outputs: readonly string[];
  readonly attributes?: Attributes;
}

/** A graph that grows. Values are known by their names. */
export class Graph {
  private readonly nodes: onnxProto.onnx.INodeProto[] = [];
  private readonly initializers: onnxProto.onnx.ITensorProto[] = [];
  private readonly inputs: onnxProto.onnx.IValueInfoProto[] = [];
  private readonly outputs: onnxProto.onnx.IValueInfoProto[] = [];

  /** @param name of the graph, as tools show it. */
  constructor(private readonly name: string) {}

  /** Declares an input. */
  input(value: GraphValue): void {
    this.inputs.push(valueInfo(value));
  }

  /** Declares an output: a value that a node gives. */
  output(value: GraphValue): void {
    this.outputs.push(valueInfo(value));
  }

  /** Adds a node and returns the name of its output. */
  node(opType: string, input: readonly string[], output: string, attributes: Attributes = {}): string {
    this.split(opType, input, { outputs: [output], attributes });
    return output;
  }

  /** Adds a node of several outputs and returns their names. */
  split(
    opType: string,
    input: readonly string[],
    { outputs, attributes = {} }: SeveralOutputs,
  ): readonly string[] {
    const attribute = Object.entries(attributes).map(([key, value]) => attributeOf(key, value));
    const node = { opType, input: [...input], output: [...outputs] };
    this.nodes.push(attribute.length === 0 ? node : { ...node, attribute });
    return outputs;
  }

  /** Adds weights, rounded to single precision, and returns their name. */
  weights(name: string, dims: readonly number[], values: ArrayLike<number>): string {
    return this.raw(name, 'FP32', dims, littleEndian(values));
  }

  /** Adds weights whose bytes are already those of little-endian single precision, and returns their name. */
  rawWeights(name: string, dims: readonly number[], bytes: Uint8Array): string {
    return this.raw(name, 'FP32', dims, bytes);
  }

  /** Adds a list of 64-bit integers (shapes, axes, indices), and returns its name. */
  integers(name: string, values: readonly number[]): string {
    const bytes = new Uint8Array(values.length * 8);
    const view = new DataView(bytes.buffer);
    values.forEach((value, i) => {
      view.setBigInt64(i * 8, BigInt(value), true);
    });
    return this.raw(name, 'INT64', [values.length], bytes);
  }

  /** The file. @param opset version of the operators that the nodes are of. */
  encode(opset = 13): Buffer {
    const model: onnxProto.onnx.IModelProto = {
      irVersion: opset < NEWER_OPSET ? 7 : 8,
      producerName: 'outrider',
      opsetImport: [{ domain: '', version: opset }],
      graph: {
        name: this.name,
        node: this.nodes,
        initializer: this.initializers,
        input: this.inputs,
        output: this.outputs,
      },
    };
    return Buffer.from(onnx.ModelProto.encode(model).finish());
  }

  private raw(name: string, datatype: ElementType, dims: readonly number[], rawData: Uint8Array): string {
    const count = dims.reduce((product, size) => product * size, 1);
    const expected = count * (datatype === 'INT64' ? 8 : 4);
    if (rawData.length !== expected)
      throw new Error(`${name}: found ${rawData.length} bytes, expected ${expected} for [${dims.join(',')}]`);
    this.initializers.push({ name, dims: [...dims], dataType: elementTypes[datatype], rawData });
    return name;
  }
}

function littleEndian(values: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < values.length; i++) view.setFloat32(i * 4, values[i]!, true);
  return bytes;
}

function valueInfo({ name, datatype, dims }: GraphValue): onnxProto.onnx.IValueInfoProto {
  const dim = dims.map((size) => (typeof size === 'string' ? { dimParam: size } : { dimValue: size }));
  return { name, type: { tensorType: { elemType: elementTypes[datatype], shape: { dim } } } };
}

function attributeOf(name: string, value: Attributes[string]): onnxProto.onnx.IAttributeProto {
  const { AttributeType } = onnx.AttributeProto;
  if (typeof value === 'number') return { name, type: AttributeType.INT, i: value };
  if (typeof value === 'string') return { name, type: AttributeType.STRING, s: Buffer.from(value) };
  if ('float' in value) return { name, type: AttributeType.FLOAT, f: value.float };
  return { name, type: AttributeType.INTS, ints: [...value] };
}
