/** What a language-model engine of a drill is asked, and what its answer has to be: the messages of vLLM, and tokens that follow from the prompt. */

import type { GenerateRequest } from '../../../../proto/vllm-service.js';

/** Tokens of each answer. */
export const ANSWER_TOKENS = 60;
/** Between two steps of an engine, each of which brings one to three tokens, ms. */
export const STEP_MS = 40;
const PROMPT_TOKENS = 6;
const VOCABULARY = 32_000;
/** Behind the id of a request that another engine continues. */
const CONTINUED = /~\d+$/;

/** The next token, as in greedy decoding: a function of all before it (FNV-1a). */
export function nextToken(ids: readonly number[]): number {
  let state = 0x811c9dc5;
  for (const id of ids) state = Math.imul(state ^ id, 0x01000193) >>> 0;
  return 3 + (((state ^ (state >>> 15)) >>> 0) % (VOCABULARY - 3));
}

function promptOf(id: string): number[] {
  const prompt: number[] = [];
  let state = 0x811c9dc5;
  for (const byte of Buffer.from(id)) state = Math.imul(state ^ byte, 0x01000193) >>> 0;
  for (let i = 0; i < PROMPT_TOKENS; i++) prompt.push(nextToken([state % VOCABULARY, i]));
  return prompt;
}

/** A request whose answer another engine can continue. */
export function generateRequest(id: string): GenerateRequest {
  return {
    request_id: id,
    tokenized: { input_ids: promptOf(id) },
    sampling_params: { temperature: 0, max_tokens: ANSWER_TOKENS, ignore_eos: true },
    stream: true,
  };
}

/** The tokens of the answer to it. */
export function tokensFor(id: string): number[] {
  const ids = promptOf(id);
  for (let i = 0; i < ANSWER_TOKENS; i++) ids.push(nextToken(ids));
  return ids.slice(PROMPT_TOKENS);
}

/** The call that a request is of, whichever engine has it. */
export function callOf(requestId: string): string {
  return requestId.replace(CONTINUED, '');
}
