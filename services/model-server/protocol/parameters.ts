/**
 * The parameters of a request: what those of Triton's extensions say (sequence, schedule policy, classification), and a
 * refusal of those that nothing here would heed. The protocol itself defines none. Parts of extensions that are not served are
 * UNIMPLEMENTED, unless their value asks for nothing; names that no extension has are INVALID_ARGUMENT for a network, and
 * for a model in code its own affair.
 * Names: Triton's protocol extensions (sequence, schedule policy, classification, shared memory, binary tensor data, parameters);
 * KServe and MLServer clients.
 */

import type { ParameterValue } from '../../../proto/datatypes.js';
import type { InferParameter, ModelInferRequest } from '../../../proto/messages.js';
import type { Model } from '../models/model.js';
import { invalidArgument, RpcError, status } from '../rpc.js';
import type { SequenceFlags } from '../runs/sequences.js';

type Parameters = Readonly<Record<string, InferParameter>>;

interface Known {
  /** Have no effect on an answer over gRPC, whatever their value. */
  readonly harmless: readonly string[];
  /** Heeded. */
  readonly served: readonly string[];
  /** Parts of an extension that is not served: 0, false and '' ask for nothing. */
  readonly unserved: readonly string[];
}

const SHARED_MEMORY = ['shared_memory_region', 'shared_memory_byte_size', 'shared_memory_offset'];

const ofRequest: Known = {
  // Answers are always raw, which is what the first two choose between.
  harmless: ['binary_data_output', 'content_type'],
  served: [
    'sequence_id',
    'sequence_start',
    'sequence_end',
    'priority',
    'timeout',
    'triton_enable_empty_final_response',
  ],
  unserved: [],
};
const ofInput: Known = {
  harmless: ['binary_data_size', 'content_type'],
  served: [],
  unserved: SHARED_MEMORY,
};
const ofOutput: Known = {
  harmless: ['binary_data', 'content_type'],
  served: ['classification'],
  unserved: SHARED_MEMORY,
};

/** What a request asks for beside its tensors. */
export interface RequestOptions {
  readonly sequence: SequenceFlags | undefined;
  /** 1 is the most urgent; 0: none was given. */
  readonly priority: number;
  /** How long the request may wait before it runs, ms; Infinity: none was given. */
  readonly queueTimeoutMs: number;
  /** After the last answer of a stream, send one without outputs that says so. */
  readonly emptyFinalResponse: boolean;
  /** Handed to a model in code. */
  readonly custom: Readonly<Record<string, ParameterValue>>;
}

const NONE: RequestOptions = {
  sequence: undefined,
  priority: 0,
  queueTimeoutMs: Number.POSITIVE_INFINITY,
  emptyFinalResponse: false,
  custom: {},
};

/** Throws an RpcError that names the first parameter that is not served, where it was found and what is accepted. */
export function readParameters(model: Model, request: ModelInferRequest): RequestOptions {
  for (const { name, parameters } of request.inputs ?? [])
    if (hasAny(parameters)) check(parameters, ofInput, `model '${model.name}', input '${name}'`);
  for (const { name, parameters } of request.outputs ?? [])
    if (hasAny(parameters)) check(parameters, ofOutput, `model '${model.name}', output '${name}'`);
  const { parameters } = request;
  if (!hasAny(parameters)) return NONE;
  const where = `model '${model.name}'`;
  const isCustom = (name: string) => model.takesParameters && !isKnown(ofRequest, name);
  check(parameters, ofRequest, where, isCustom);
  const custom: Record<string, ParameterValue> = {};
  for (const name in parameters) if (isCustom(name)) custom[name] = parameterValue(parameters[name]!);
  const options = {
    sequence: sequenceIn(parameters, where),
    priority: Number(integerIn(parameters, 'priority', where)),
    queueTimeoutMs: timeoutIn(parameters, where),
    emptyFinalResponse: flagIn(parameters, 'triton_enable_empty_final_response', where),
    custom,
  };
  return requireSequence(options, model, where);
}

function hasAny(parameters: Parameters | undefined): parameters is Parameters {
  for (const _ in parameters) return true;
  return false;
}

/** A model that keeps sequences needs to know which, and one that keeps none would forget what it was told. */
function requireSequence(options: RequestOptions, model: Model, where: string): RequestOptions {
  if (options.sequence === undefined || model.sequences !== undefined) return options;
  throw new RpcError(
    status.UNIMPLEMENTED,
    `${where}: found parameter 'sequence_id' (${options.sequence.id.slice(0, 100)}), but the model keeps no sequences ('sequence' of model.yaml); expected none`,
  );
}

function sequenceIn(parameters: Parameters, where: string): SequenceFlags | undefined {
  const start = flagIn(parameters, 'sequence_start', where);
  const end = flagIn(parameters, 'sequence_end', where);
  const value = valueIn(parameters, 'sequence_id');
  if (value === undefined || value === '' || value === 0n || value === 0) {
    if (start || end)
      throw invalidArgument(
        `${where}: found 'sequence_${start ? 'start' : 'end'}' without 'sequence_id', expected both`,
      );
    return undefined;
  }
  if (typeof value === 'boolean' || (typeof value === 'number' && !Number.isSafeInteger(value)))
    throw invalidArgument(`${where}: found 'sequence_id' ${value}, expected an integer or text`);
  const id = String(value);
  if (id.length > MAX_SEQUENCE_ID)
    throw invalidArgument(
      `${where}: found a 'sequence_id' of ${id.length} characters, expected at most ${MAX_SEQUENCE_ID}`,
    );
  return { id, start, end };
}

const MAX_SEQUENCE_ID = 256;

function timeoutIn(parameters: Parameters, where: string): number {
  const us = integerIn(parameters, 'timeout', where);
  return us === 0n ? Number.POSITIVE_INFINITY : Number(us) / 1000;
}

function integerIn(parameters: Parameters, name: string, where: string): bigint {
  const value = valueIn(parameters, name) || 0n;
  const integer =
    typeof value === 'bigint'
      ? value
      : typeof value === 'string' && /^\d{1,20}$/.test(value)
        ? BigInt(value)
        : -1n;
  if (integer < 0n)
    throw invalidArgument(`${where}: found '${name}' ${quoted(value)}, expected an integer from 0`);
  return integer;
}

function flagIn(parameters: Parameters, name: string, where: string): boolean {
  const value = valueIn(parameters, name) ?? false;
  if (typeof value !== 'boolean')
    throw invalidArgument(`${where}: found '${name}' ${quoted(value)}, expected a bool`);
  return value;
}

function quoted(value: ParameterValue): string {
  return String(value).slice(0, 100);
}

function valueIn(parameters: Parameters, name: string): ParameterValue | undefined {
  return Object.hasOwn(parameters, name) ? parameterValue(parameters[name]!) : undefined;
}

/** As it is in memory; a parameter without any of the values is ''. */
export function parameterValue(parameter: InferParameter): ParameterValue {
  const { bool_param, int64_param, string_param, double_param, uint64_param } = parameter;
  const integer = int64_param ?? uint64_param;
  return (
    string_param ?? bool_param ?? (integer === undefined ? undefined : BigInt(integer)) ?? double_param ?? ''
  );
}

/** As it is sent. */
export function inferParameter(value: ParameterValue): InferParameter {
  if (typeof value === 'boolean') return { bool_param: value };
  if (typeof value === 'bigint') return { int64_param: String(value) };
  return typeof value === 'number' ? { double_param: value } : { string_param: value };
}

function isKnown(known: Known, name: string): boolean {
  return known.harmless.includes(name) || known.served.includes(name) || known.unserved.includes(name);
}

function check(
  parameters: Parameters,
  known: Known,
  where: string,
  isCustom: (name: string) => boolean = () => false,
): void {
  // In the order of the table: clients send maps in any order.
  for (const name of known.unserved) {
    const value = valueIn(parameters, name);
    if (asksForNothing(value)) continue;
    throw new RpcError(
      status.UNIMPLEMENTED,
      `${where}: found parameter '${name}' (${value}), which is not served; expected none`,
    );
  }
  for (const name in parameters) {
    if (isKnown(known, name) || isCustom(name)) continue;
    throw invalidArgument(
      `${where}: found parameter '${name}', which is not known; expected only ${[...known.served, ...known.harmless].join(', ')}`,
    );
  }
}

function asksForNothing(value: ParameterValue | undefined): boolean {
  return value === undefined || value === '' || value === 0n || value === 0 || value === false;
}
