/** A stream of the model `tokens`: numbered characters, each of which has to come once and in its place. */

import type { ServiceError } from '@grpc/grpc-js';
import type { ModelInferRequest, ModelStreamInferResponse } from '../../../proto/messages.js';
import { followNumbers, inferStream } from '../../../sidecar/cli/chaos/protocol/call.js';
import type { LoadOptions } from './load.js';

/** Characters of a stream. */
const CHARACTERS = 400;

/** Calls each of which is such a stream. It ends well when every character has come, in order. */
export function characterStreams(deadlineMs: number) {
  return {
    deadlineMs,
    ask: (client, n, done) => {
      const stream = inferStream(client, deadlineMs);
      let problem: string | undefined;
      const numberIn = ({ error_message, infer_response }: ModelStreamInferResponse) => {
        if (error_message) problem ??= error_message;
        if (!infer_response) return undefined;
        const { outputs, raw_output_contents: raw } = infer_response;
        return Buffer.from(raw[outputs.findIndex(({ name }) => name === 'index')]!).readInt32LE();
      };
      const told = (error: ServiceError | null, odd?: string) => done(error, problem ?? odd);
      followNumbers(stream, { count: CHARACTERS, numberIn }, told);
      stream.write(requestOf(n));
      stream.end();
      return stream;
    },
  } satisfies Partial<LoadOptions>;
}

function requestOf(seed: number): ModelInferRequest {
  const one = { shape: [1] };
  return {
    model_name: 'tokens',
    inputs: [
      { name: 'prompt', datatype: 'BYTES', ...one, contents: { bytes_contents: [Buffer.from('Call me ')] } },
      { name: 'max_tokens', datatype: 'INT32', ...one, contents: { int_contents: [CHARACTERS] } },
      { name: 'seed', datatype: 'INT64', ...one, contents: { int64_contents: [String(seed)] } },
    ],
  } as unknown as ModelInferRequest;
}
