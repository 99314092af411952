/**
 * The six calls of the inference protocol and the two of health checking, in order of what each must decide.
 * Requests arrive as bytes and are decoded here, so that bytes that are no message are INVALID_ARGUMENT like any bad input.
 */

import type {
  ServerErrorResponse,
  ServerUnaryCall,
  ServerWritableStream,
  sendUnaryData,
} from '@grpc/grpc-js';
import { Metadata } from '@grpc/grpc-js';
import type { Method } from '../../../proto/load.js';
import type * as pb from '../../../proto/messages.js';
import { encodeRaw, TensorError } from '../../../proto/tensors.js';
import { LimitError } from '../../../proto/wire.js';
import type { Model } from '../models/model.js';
import { invalidArgument, messageOf, RpcError, status } from '../rpc.js';
import type { InferenceQueue, Job } from '../runs/batch.js';
import type { HealthTable } from './health.js';
import { requireServedParameters } from './parameters.js';
import { decodeInputs, requestedOutputs } from './request.js';

const PLATFORM = 'onnxruntime_onnx';
/**
 * A status message travels in a header, where what is not printable ASCII takes three octets each; names out of a request
 * may be megabytes. Clients take 8 KiB of headers in all (gRPC's default).
 */
const MAX_DETAILS = 1000;
const MAX_ENCODED_DETAILS = 3000;

/** What the handlers answer from. */
export interface Serving {
  readonly version: string;
  readonly models: ReadonlyMap<string, Model>;
  readonly health: HealthTable;
  readonly queue: InferenceQueue;
}

type Reply<Response> = (
  error: RpcError | undefined,
  response?: Response,
  trailers?: Record<string, string>,
) => void;
type UnaryHandler<Request, Response> = (
  request: Request,
  call: ServerUnaryCall<Buffer, Response>,
  reply: Reply<Response>,
) => void;

/** A unary handler as grpc-js wants it, for a service whose requests are not decoded (server.ts). */
export function unary<Request, Response>(
  method: Method<Request, Response>,
  handler: UnaryHandler<Request, Response>,
) {
  return (call: ServerUnaryCall<Buffer, Response>, callback: sendUnaryData<Response>): void => {
    const reply: Reply<Response> = (error, response, trailers) => {
      if (error !== undefined) callback(toStatus(error));
      else callback(null, response as Response, trailers === undefined ? undefined : metadataOf(trailers));
    };
    try {
      handler(decode(method, call.request), call, reply);
    } catch (error) {
      reply(toRpcError(error));
    }
  };
}

/** ServerLive: true as soon as the process answers. */
export function serverLive(
  _request: pb.ServerLiveRequest,
  _call: unknown,
  reply: Reply<pb.ServerLiveResponse>,
): void {
  reply(undefined, { live: true });
}

/** ServerReady: true while the server as a whole is SERVING. */
export function serverReady(serving: Serving): UnaryHandler<pb.ServerReadyRequest, pb.ServerReadyResponse> {
  return (_request, _call, reply) => reply(undefined, { ready: serving.health.get('') === 'SERVING' });
}

/** ServerMetadata: name and version; no extensions. */
export function serverMetadata(
  serving: Serving,
): UnaryHandler<pb.ServerMetadataRequest, pb.ServerMetadataResponse> {
  return (_request, _call, reply) =>
    reply(undefined, { name: 'outrider', version: serving.version, extensions: [] });
}

/** ModelReady, with the reason in `model-not-ready-reason` when it is not. NOT_FOUND for an unknown model. */
export function modelReady(serving: Serving): UnaryHandler<pb.ModelReadyRequest, pb.ModelReadyResponse> {
  return (request, _call, reply) => {
    const model = findModel(serving, request.name, request.version);
    if (model.state === 'ready') reply(undefined, { ready: true });
    else reply(undefined, { ready: false }, { 'model-not-ready-reason': model.why });
  };
}

/** ModelMetadata: inputs, outputs and the versions served. NOT_FOUND for an unknown model. */
export function modelMetadata(
  serving: Serving,
): UnaryHandler<pb.ModelMetadataRequest, pb.ModelMetadataResponse> {
  return (request, _call, reply) => {
    const model = findModel(serving, request.name, request.version);
    const tensor = ({ name, datatype, shape }: Model['inputs'][number]) => ({
      name,
      datatype,
      shape: [...shape],
    });
    reply(undefined, {
      name: model.name,
      versions: model.version === '' ? [] : [model.version],
      platform: PLATFORM,
      inputs: model.inputs.map(tensor),
      outputs: model.outputs.map(tensor),
      properties: model.properties,
    });
  };
}

/** Known and ready → every tensor valid → queued → run, unless the caller has gone or its time is up → raw answer. */
export function modelInfer(serving: Serving): UnaryHandler<pb.ModelInferRequest, pb.ModelInferResponse> {
  return (request, call, reply) => {
    const model = findModel(serving, request.model_name, request.model_version);
    if (model.state !== 'ready')
      throw new RpcError(status.UNAVAILABLE, `model '${model.name}' is not ready: ${model.why}`);
    requireServedParameters(model.name, request);
    const wanted = requestedOutputs(model, request);
    const inputs = decodeInputs(model, request);
    const deadline = call.getDeadline();
    const job: Job = {
      runner: model,
      inputs,
      wanted,
      deadlineMs: typeof deadline === 'number' ? deadline : deadline.getTime(),
      done: (error, outputs) => {
        if (call.cancelled) return;
        if (error !== undefined) {
          reply(error);
          return;
        }
        reply(undefined, {
          model_name: model.name,
          model_version: model.version,
          id: request.id ?? '',
          outputs: outputs.map(({ datatype, dims }, o) => ({
            name: model.outputs[wanted[o]!]!.name,
            datatype,
            shape: [...dims],
          })),
          raw_output_contents: outputs.map(encodeRaw),
        });
      },
    };
    // While a compressed request was inflated, its caller may have gone.
    if (call.cancelled) return;
    call.on('cancelled', () => serving.queue.withdraw(job));
    serving.queue.submit(job);
  };
}

/** grpc.health.v1 Check: the state of the server (empty name) or of a model. NOT_FOUND for an unknown name. */
export function healthCheck(serving: Serving): UnaryHandler<pb.HealthCheckRequest, pb.HealthCheckResponse> {
  return (request, _call, reply) => {
    const found = serving.health.get(request.service ?? '');
    if (found === undefined) throw new RpcError(status.NOT_FOUND, `unknown service '${request.service}'`);
    reply(undefined, { status: found });
  };
}

/** A Watch lasts until its caller ends it, or until `stopping` says that the server does. */
export function healthWatch(
  method: Method<pb.HealthCheckRequest, pb.HealthCheckResponse>,
  serving: Serving,
  stopping: (end: () => void) => () => void,
) {
  return (call: ServerWritableStream<Buffer, pb.HealthCheckResponse>): void => {
    let request: pb.HealthCheckRequest;
    try {
      request = decode(method, call.request);
    } catch (error) {
      call.emit('error', toStatus(error as RpcError));
      return;
    }
    const unwatch = serving.health.watch(request.service ?? '', (state) => call.write({ status: state }));
    const forget = stopping(() => {
      unwatch();
      call.emit('error', toStatus(new RpcError(status.UNAVAILABLE, 'the server is stopping')));
    });
    call.on('cancelled', () => {
      unwatch();
      forget();
    });
  };
}

function decode<Request>(
  method: Pick<Method<Request, unknown>, 'path' | 'requestDeserialize'>,
  bytes: Buffer,
): Request {
  try {
    return method.requestDeserialize(bytes);
  } catch (error) {
    if (error instanceof LimitError) throw invalidArgument(`request: ${error.message}`);
    throw invalidArgument(
      `request: found ${bytes.length} bytes that are no valid message, expected the one of ${method.path} (${messageOf(error)})`,
    );
  }
}

function findModel(serving: Serving, name: string, version: string | undefined): Model {
  const model = serving.models.get(name);
  if (model === undefined)
    throw new RpcError(status.NOT_FOUND, `Request for unknown model: '${clip(name)}' is not found`);
  if (version && version !== model.version) {
    throw new RpcError(
      status.NOT_FOUND,
      `Request for unknown model: '${name}' version ${clip(version)} is not found (version ${model.version || 'none'} is served)`,
    );
  }
  return model;
}

function toRpcError(error: unknown): RpcError {
  if (error instanceof RpcError) return error;
  if (error instanceof TensorError) return invalidArgument(error.message);
  return new RpcError(status.INTERNAL, messageOf(error));
}

function toStatus(error: RpcError): ServerErrorResponse {
  const metadata = metadataOf(error.trailers);
  // A lone surrogate would make the transport's percent-encoding throw.
  const details = clip(error.message).replace(/[\ud800-\udfff]/gu, '\ufffd');
  return Object.assign(new Error(details), { code: error.code, details, metadata });
}

function metadataOf(values: Readonly<Record<string, string>>): Metadata {
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(values)) metadata.set(key, clip(value).replace(/[^ -~]/g, '?'));
  return metadata;
}

function clip(text: string): string {
  const clipped = text.length <= MAX_DETAILS ? text : `${text.slice(0, MAX_DETAILS)}…`;
  let end = 0;
  let octets = 0;
  for (const character of clipped) {
    octets += /[ -$&-~]/.test(character) ? 1 : 3 * Buffer.byteLength(character);
    if (octets > MAX_ENCODED_DETAILS) return `${clipped.slice(0, end)}…`;
    end += character.length;
  }
  return clipped;
}
