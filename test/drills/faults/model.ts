/**
 * A model of fixed service time, as a process of its own: `node faults-model.js ADDRESS MILLISECONDS`.
 *
 * Waiting costs no CPU, so what is measured beside it is the mesh. `ModelInfer` sends its input back as its output;
 * the method `HOLD` is a stream that repeats each message and stays open. Without a health service it counts as
 * serving while it answers.
 */

import {
  type handleBidiStreamingCall,
  type handleUnaryCall,
  Server,
  ServerCredentials,
  type ServiceDefinition,
} from '@grpc/grpc-js';
import { protocols } from '../../../proto/load.js';
import type { ModelInferRequest, ModelInferResponse } from '../../../proto/messages.js';
import { HOLD } from './open-streams.js';

/** Serves on `host:port`, and prints the port that it listens at. */
export async function serveModel(address: string, serviceMs: number): Promise<void> {
  const { ModelInfer } = protocols().inference;
  const infer: handleUnaryCall<ModelInferRequest, ModelInferResponse> = ({ request }, reply) => {
    const { model_name, id, inputs, raw_input_contents } = request;
    const answer = {
      ...{ model_name, id: id ?? '', model_version: '1', parameters: {} },
      ...{ outputs: inputs, raw_output_contents: raw_input_contents },
    };
    setTimeout(() => reply(null, answer as unknown as ModelInferResponse), serviceMs);
  };
  const hold: handleBidiStreamingCall<Buffer, Buffer> = (stream) => {
    stream.on('data', (message: Buffer) => stream.write(message));
    stream.on('end', () => stream.end()).on('error', () => {});
  };
  const server = new Server({ 'grpc.max_concurrent_streams': 0xffff_ffff });
  server.addService({ ModelInfer } as unknown as ServiceDefinition, { ModelInfer: infer });
  server.addService({ Hold: HOLD }, { Hold: hold });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  process.stdout.write(`listening on ${port}\n`);
}

const [, program, address, serviceMs] = process.argv;
if (program?.includes('drills/faults/model') && address !== undefined) {
  // Standard input ends with the process that started this one.
  process.stdin.resume().on('end', () => process.exit(0));
  serveModel(address, Number(serviceMs)).catch((error: Error) => {
    process.stderr.write(`model: ${error.message}\n`);
    process.exit(1);
  });
}
