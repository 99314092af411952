/** A model service behind an upstream, called by stock gRPC. */

import {
  Client,
  credentials,
  logVerbosity,
  Metadata,
  type ServiceError,
  setLogVerbosity,
} from '@grpc/grpc-js';
import { isDatatype, type Tensor } from '../../../proto/datatypes.js';
import { protocols } from '../../../proto/load.js';
import type { ModelInferResponse } from '../../../proto/messages.js';
import { decodeRaw, encodeRaw } from '../../../proto/tensors.js';
import {
  type ModelRequest,
  type Tensors,
  type Upstream,
  type UpstreamAnswer,
  UpstreamError,
} from './model-code.js';

const INTERNAL = 13;
/** What the sidecar needs to see of the request that is served, and nothing else. */
const TRACE_CONTEXT = ['traceparent', 'tracestate'];

// It prints some errors itself, beside the one that it reports; this process has its own log.
setLogVerbosity(logVerbosity.NONE);

/** One connection. */
export class UpstreamClient implements Upstream {
  private readonly client: Client;

  constructor(
    private readonly name: string,
    target: string,
  ) {
    this.client = new Client(target, credentials.createInsecure(), {
      'grpc.enable_retries': 0,
      'grpc.max_send_message_length': -1,
      'grpc.max_receive_message_length': -1,
      // A sidecar that is away for a moment is dialled again at once: what it means for calls, the sidecar decides.
      'grpc.initial_reconnect_backoff_ms': 50,
      'grpc.max_reconnect_backoff_ms': 500,
    });
  }

  infer(model: string, inputs: Tensors, within: ModelRequest): Promise<UpstreamAnswer> {
    const { path, requestSerialize, responseDeserialize } = protocols().inference.ModelInfer;
    const entries = Object.entries(inputs);
    const request = {
      model_name: model,
      inputs: entries.map(([name, { datatype, dims }]) => ({ name, datatype, shape: [...dims] })),
      raw_input_contents: entries.map(([, tensor]) => encodeRaw(tensor)),
    };
    const metadata = new Metadata();
    for (const name of TRACE_CONTEXT) {
      const value = within.header(name);
      if (value !== undefined) metadata.set(name, value);
    }
    const { deadlineMs, signal } = within;
    const options = Number.isFinite(deadlineMs) ? { deadline: deadlineMs } : {};
    return new Promise((resolve, reject) => {
      let degraded = '';
      const done = (error: ServiceError | null, response?: ModelInferResponse): void => {
        signal.removeEventListener('abort', cancel);
        if (error !== null) {
          reject(
            new UpstreamError(error.code, `upstream '${this.name}', model '${model}': ${error.details}`),
          );
          return;
        }
        try {
          resolve({ outputs: tensorsOf(response!), degraded });
        } catch (problem) {
          reject(
            new UpstreamError(INTERNAL, `upstream '${this.name}', model '${model}': ${String(problem)}`),
          );
        }
      };
      const call = this.client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadata,
        options,
        done,
      );
      const cancel = (): void => call.cancel();
      const note = (found: Metadata): void => {
        degraded = String(found.get('outrider-degraded')[0] ?? degraded);
      };
      call.on('metadata', note);
      if (signal.aborted) cancel();
      else signal.addEventListener('abort', cancel, { once: true });
    });
  }

  close(): void {
    this.client.close();
  }
}

function tensorsOf({ outputs, raw_output_contents: raw }: ModelInferResponse): Tensors {
  const tensors: Record<string, Tensor> = Object.create(null);
  outputs.forEach(({ name, datatype, shape }, i) => {
    if (!isDatatype(datatype)) throw new Error(`output '${name}' has the unknown datatype '${datatype}'`);
    const dims = shape.map(Number);
    const count = dims.reduce((product, size) => product * size, 1);
    const bytes = raw[i];
    if (bytes === undefined) throw new Error(`output '${name}' has no raw contents`);
    tensors[name] = { datatype, dims, data: decodeRaw(bytes, datatype, count, `output '${name}'`) };
  });
  return tensors;
}
