/**
 * Asks an engine of vLLM's gRPC for tokens and prints their ids as they come: `node dist/services/engine/ask.js --to HOST:PORT`. With a
 * fake engine it says at the end whether each token came once.
 */

import { parseArgs } from 'node:util';
import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import { type GenerateRequest, type GenerateResponse, vllmService } from '../../proto/vllm-service.js';
import { GreedySequence } from './greedy-model.js';

const PROMPT = [1, 5, 300, 12_000];

const { values } = parseArgs({
  options: { to: { type: 'string', default: '127.0.0.1:8800' }, tokens: { type: 'string', default: '400' } },
});
const maxTokens = Number(values.tokens);
const request: GenerateRequest = {
  request_id: `ask-${process.pid}`,
  tokenized: { input_ids: PROMPT },
  sampling_params: { temperature: 0, max_tokens: maxTokens, ignore_eos: true },
  stream: true,
};

const client = new Client(values.to, credentials.createInsecure());
const { path, requestSerialize, responseDeserialize } = vllmService().Generate;
const stream = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request);
const ids: number[] = [];
stream.on('data', ({ chunk }: GenerateResponse) => {
  if (!chunk) return;
  ids.push(...chunk.token_ids);
  process.stdout.write(`${chunk.token_ids.join(' ')} `);
});
stream.on('error', ({ code, details }: ServiceError) => {
  process.stdout.write(`\n${ids.length} tokens, then status ${code}: ${details}\n`);
  process.exitCode = 1;
  client.close();
});
stream.on('end', () => {
  const sequence = new GreedySequence({
    ...{ prompt: PROMPT, maxTokens, minTokens: 0, ignoreEnd: true, stopTokens: [] },
  });
  const isWhole = ids.length === maxTokens && ids.every((id) => id === sequence.next().id);
  const verdict = isWhole ? 'each once, as a fake engine makes them' : 'not those of a fake engine';
  process.stdout.write(`\n${ids.length} tokens, ${verdict}\n`);
  client.close();
});
