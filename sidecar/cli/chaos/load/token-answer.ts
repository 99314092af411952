import { type Client, type ClientReadableStream, Metadata, type ServiceError } from '@grpc/grpc-js';
import { type GenerateResponse, vllmService } from '../../../../proto/vllm-service.js';
import { whenEnded } from '../protocol/call.js';
import { generateRequest, tokensFor } from '../protocol/engine.js';

/** `odd`: what is wrong in an answer with status OK; absent: nothing. */
export type TokensDone = (error: ServiceError | null, odd?: string) => void;

/** Asks an engine for tokens, and says at the end whether each was there once. @param onMessage is called with each message. */
export function askForTokens(
  client: Client,
  { id, deadlineMs }: { readonly id: string; readonly deadlineMs: number },
  onMessage: () => void,
  done: TokensDone,
): ClientReadableStream<GenerateResponse> {
  const { path, requestSerialize, responseDeserialize } = vllmService().Generate;
  const options = { deadline: Date.now() + deadlineMs };
  const stream = client.makeServerStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    generateRequest(id),
    new Metadata(),
    options,
  );
  const ids: number[] = [];
  let isComplete = false;
  stream.on('data', ({ chunk, complete }: GenerateResponse) => {
    onMessage();
    ids.push(...(chunk?.token_ids ?? []));
    if (complete) isComplete = true;
  });
  whenEnded(stream, (error) =>
    error === null ? done(null, oddIn(ids, tokensFor(id), isComplete)) : done(error),
  );
  return stream;
}

/** What is wrong in an answer; undefined: each token is there once, in order, and it says that it is complete. */
export function oddIn(
  ids: readonly number[],
  expected: readonly number[],
  isComplete: boolean,
): string | undefined {
  const at = ids.findIndex((id, i) => id !== expected[i]);
  if (at >= 0) return `token ${at} is ${ids[at]}`;
  if (ids.length !== expected.length) return `${ids.length} tokens of ${expected.length}`;
  return isComplete ? undefined : 'it does not say that it is complete';
}
