/**
 * ModelInferRequest out of bytes, within bounds. The library makes objects of several hundred bytes out of two bytes on the
 * wire (an empty tensor), so that a message small enough to be received could stop the process. Here every count is bounded
 * before anything is made for it.
 */

import { InferContentsDecoder } from './infer-contents.js';
import type {
  DecodedContents,
  InferParameter,
  InferTensor,
  ModelInferRequest,
  RequestedOutput,
} from './messages.js';
import { atMost, signed, unsigned, WireReader, WireType } from './wire.js';

/** What one request may hold; more is a LimitError. */
const inferLimits = {
  /** Inputs, outputs and raw contents, each. The largest models (a cache per layer as input) have some hundreds. */
  tensors: 4096,
  /** Dimensions of one tensor: NumPy's limit, and no model of the repository format has more. */
  rank: 64,
  /** Parameters of a request, of an input, of an output: clients send a handful. */
  parameters: 256,
  /** Fields at every level, elements of typed contents aside: 4,096 tensors with 16 each. */
  fields: 65_536,
} as const;

/** Throws a WireError for bytes that are no such message, a LimitError for one that holds more than the limits. */
export function decodeInferRequest(bytes: Uint8Array): ModelInferRequest {
  const reader = new WireReader(bytes, inferLimits.fields);
  const contents = new InferContentsDecoder(reader);
  const request = {
    model_name: '',
    model_version: '',
    id: '',
    parameters: NO_PARAMETERS,
    inputs: [] as InferTensor[],
    outputs: [] as RequestedOutput[],
    raw_input_contents: [] as Uint8Array[],
  };
  let parameters = 0;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        request.model_name = reader.text('model_name');
        break;
      case 2:
        request.model_version = reader.text('model_version');
        break;
      case 3:
        request.id = reader.text('id');
        break;
      case 4:
        request.parameters = own(request.parameters);
        decodeParameter(reader, request.parameters, ++parameters, 'parameters');
        break;
      case 5:
        atMost(request.inputs.length + 1, inferLimits.tensors, 'inputs');
        request.inputs.push(decodeInput(reader, contents));
        break;
      case 6:
        atMost(request.outputs.length + 1, inferLimits.tensors, 'outputs');
        request.outputs.push(decodeOutput(reader));
        break;
      case 7:
        atMost(request.raw_input_contents.length + 1, inferLimits.tensors, 'raw_input_contents');
        request.raw_input_contents.push(reader.view('raw_input_contents'));
        break;
      default:
        reader.skip();
    }
  }
  return request;
}

function decodeInput(reader: WireReader, decoder: InferContentsDecoder): InferTensor {
  const shape: string[] = [];
  let parameters = NO_PARAMETERS;
  let parameterCount = 0;
  let name = '';
  let datatype = '';
  let contents: DecodedContents | null = null;
  const outer = reader.enter('inputs');
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        name = reader.text('inputs.name');
        break;
      case 2:
        datatype = reader.text('inputs.datatype');
        break;
      case 3:
        decodeShape(reader, shape);
        break;
      case 4:
        parameters = own(parameters);
        decodeParameter(reader, parameters, ++parameterCount, 'inputs.parameters');
        break;
      case 5:
        contents = decoder.decode('inputs.contents');
        break;
      default:
        reader.skip();
    }
  }
  reader.leave(outer);
  return { name, datatype, shape, parameters, contents };
}

function decodeOutput(reader: WireReader): RequestedOutput {
  let parameters = NO_PARAMETERS;
  let parameterCount = 0;
  let name = '';
  const outer = reader.enter('outputs');
  while (reader.next()) {
    if (reader.field === 1) name = reader.text('outputs.name');
    else if (reader.field === 2) {
      parameters = own(parameters);
      decodeParameter(reader, parameters, ++parameterCount, 'outputs.parameters');
    } else reader.skip();
  }
  reader.leave(outer);
  return { name, parameters };
}

/** Packed or one by one, as a decoder must take either. */
function decodeShape(reader: WireReader, shape: string[]): void {
  if (reader.wireType !== WireType.LENGTH) {
    atMost(shape.length + 1, inferLimits.rank, 'inputs.shape');
    shape.push(signed(reader, 'inputs.shape'));
    return;
  }
  const outer = reader.enter('inputs.shape');
  while (reader.at < reader.end) {
    atMost(shape.length + 1, inferLimits.rank, 'inputs.shape');
    reader.varint64();
    shape.push(signed(reader));
  }
  reader.leave(outer);
}

/** One entry of a map: a message of a key and a value, either of which may be absent. */
function decodeParameter(
  reader: WireReader,
  into: Record<string, InferParameter>,
  count: number,
  name: string,
): void {
  atMost(count, inferLimits.parameters, name);
  let key = '';
  let value: InferParameter = {};
  const outer = reader.enter(name);
  while (reader.next()) {
    if (reader.field === 1) key = reader.text(name);
    else if (reader.field === 2) value = decodeParameterValue(reader, name);
    else reader.skip();
  }
  reader.leave(outer);
  into[key] = value;
}

/** Of several alternatives the last one counts. */
function decodeParameterValue(reader: WireReader, name: string): InferParameter {
  let value: InferParameter = {};
  const outer = reader.enter(name);
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        reader.require(WireType.VARINT, name);
        reader.varint64();
        value = { bool_param: (reader.low | reader.high) !== 0, parameter_choice: 'bool_param' };
        break;
      case 2:
        value = { int64_param: signed(reader, name), parameter_choice: 'int64_param' };
        break;
      case 3:
        value = { string_param: reader.text(name), parameter_choice: 'string_param' };
        break;
      case 4:
        value = { double_param: reader.double(name), parameter_choice: 'double_param' };
        break;
      case 5:
        value = { uint64_param: unsigned(reader, name), parameter_choice: 'uint64_param' };
        break;
      default:
        reader.skip();
    }
  }
  reader.leave(outer);
  return value;
}

/** Keys come out of the request: none of them may be an inherited property. One object for all that have none. */
const NO_PARAMETERS: Record<string, InferParameter> = Object.freeze(Object.create(null));

function own(parameters: Record<string, InferParameter>): Record<string, InferParameter> {
  return parameters === NO_PARAMETERS ? Object.create(null) : parameters;
}
