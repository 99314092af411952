/**
 * The parameters of a request: which of them change what is answered, and may therefore not be ignored. The protocol defines
 * none; those of Triton's extensions that are not served here are UNIMPLEMENTED, unless their value asks for nothing, and
 * names that no extension has are INVALID_ARGUMENT.
 * Names: Triton's protocol extensions (sequence, schedule policy, classification, shared memory, binary tensor data, parameters);
 * KServe and MLServer clients.
 */

import type { InferParameter, ModelInferRequest } from '../../../proto/messages.js';
import { invalidArgument, RpcError, status } from '../rpc.js';

type Parameters = Readonly<Record<string, InferParameter>>;

interface Known {
  /** Have no effect on an answer over gRPC, whatever their value. */
  readonly harmless: readonly string[];
  /** Parts of an extension that is not served: 0, false and '' ask for nothing. */
  readonly unserved: readonly string[];
}

const SHARED_MEMORY = ['shared_memory_region', 'shared_memory_byte_size', 'shared_memory_offset'];

const ofRequest: Known = {
  // Answers are always raw and never streamed, which is what these choose between.
  harmless: ['binary_data_output', 'content_type', 'triton_enable_empty_final_response'],
  unserved: ['sequence_id', 'sequence_start', 'sequence_end', 'priority', 'timeout'],
};
const ofInput: Known = { harmless: ['binary_data_size', 'content_type'], unserved: SHARED_MEMORY };
const ofOutput: Known = {
  harmless: ['binary_data', 'content_type'],
  unserved: ['classification', ...SHARED_MEMORY],
};

/** Throws an RpcError that names the first parameter that is not served, where it was found and what is accepted. */
export function requireServedParameters(model: string, request: ModelInferRequest): void {
  check(request.parameters, ofRequest, `model '${model}'`);
  for (const { name, parameters } of request.inputs ?? [])
    check(parameters, ofInput, `model '${model}', input '${name}'`);
  for (const { name, parameters } of request.outputs ?? [])
    check(parameters, ofOutput, `model '${model}', output '${name}'`);
}

function check(parameters: Parameters | undefined, known: Known, where: string): void {
  if (parameters === undefined) return;
  // In the order of the table: clients send maps in any order.
  for (const name of known.unserved) {
    const value = Object.hasOwn(parameters, name) ? valueIn(parameters[name]!) : undefined;
    if (asksForNothing(value)) continue;
    throw new RpcError(
      status.UNIMPLEMENTED,
      `${where}: found parameter '${name}' (${value}), which is not served; expected none`,
    );
  }
  for (const name in parameters) {
    if (known.harmless.includes(name) || known.unserved.includes(name)) continue;
    throw invalidArgument(
      `${where}: found parameter '${name}', which is not known; expected only ${known.harmless.join(', ')}`,
    );
  }
}

function valueIn(parameter: InferParameter): string | number | boolean | undefined {
  const { bool_param, int64_param, string_param, double_param, uint64_param } = parameter;
  return string_param ?? bool_param ?? int64_param ?? uint64_param ?? double_param;
}

/** 64 bits are decimal digits here: '0' is the number. */
function asksForNothing(value: string | number | boolean | undefined): boolean {
  return value === undefined || value === '' || value === '0' || value === 0 || value === false;
}
