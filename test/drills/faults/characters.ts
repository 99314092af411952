/** A stream of the model `tokens`: numbered characters, each of which has to come once and in its place. */

import type { Client, requestCallback, ServiceError } from '@grpc/grpc-js';
import { protocols } from '../../../proto/load.js';
import type { ModelInferRequest, ModelStreamInferResponse } from '../../../proto/messages.js';
import { followNumbers } from '../../../sidecar/cli/chaos/protocol/call.js';
import type { AskedCall } from './load.js';

/** Characters of a stream. */
const CHARACTERS = 400;

/** Makes the nth stream as one call: it ends well when every character has come, in order. What is wrong is the answer of `done`. */
export function askCharacters(
  client: Client,
  n: number,
  deadlineMs: number,
  done: requestCallback<unknown>,
): AskedCall {
  const { path, requestSerialize, responseDeserialize } = protocols().inference.ModelStreamInfer;
  const one = { shape: [1] };
  const request = {
    model_name: 'tokens',
    inputs: [
      { name: 'prompt', datatype: 'BYTES', ...one, contents: { bytes_contents: [Buffer.from('Call me ')] } },
      { name: 'max_tokens', datatype: 'INT32', ...one, contents: { int_contents: [CHARACTERS] } },
      { name: 'seed', datatype: 'INT64', ...one, contents: { int64_contents: [String(n)] } },
    ],
  } as unknown as ModelInferRequest;
  const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, {
    deadline: Date.now() + deadlineMs,
  });
  let problem: string | undefined;
  const numberIn = ({ error_message, infer_response }: ModelStreamInferResponse): number | undefined => {
    if (error_message) problem ??= error_message;
    if (!infer_response) return undefined;
    const { outputs, raw_output_contents: raw } = infer_response;
    return Buffer.from(raw[outputs.findIndex(({ name }) => name === 'index')]!).readInt32LE();
  };
  const told = (error: ServiceError | null, odd?: string) => done(error, problem ?? odd);
  followNumbers(stream, { count: CHARACTERS, numberIn }, told);
  stream.write(request);
  stream.end();
  return stream as unknown as AskedCall;
}
