import assert from 'node:assert/strict';
import type { GenerateResponse } from '../../../../proto/vllm-service.js';
import { DIALECTS, type Dialect } from '../../../../services/engine/dialects.js';
import { EngineCore } from '../../../../services/engine/engine-core.js';

const MAX_TOKENS = 20;

interface Answer {
  readonly request_id: string;
  readonly chunk?: { readonly token_ids: readonly number[]; readonly completion_tokens: number } | null;
  readonly complete?: {
    readonly output_ids?: readonly number[];
    readonly output_token_ids?: readonly number[];
    readonly completion_tokens: number;
    readonly finish_reason: string;
  } | null;
}

/** Through the protobuf library, as on a wire. */
function received(dialect: Dialect, message: object): Record<string, unknown> {
  const { requestSerialize, requestDeserialize } = dialect.service['Generate']!;
  return requestDeserialize(requestSerialize(message)) as unknown as Record<string, unknown>;
}

/** The messages of the answer as a client reads them. */
function answerTo(dialect: Dialect, message: object): Answer[] {
  const { responseSerialize, responseDeserialize } = dialect.service['Generate']!;
  const request = dialect.requestOf(received(dialect, message));
  const write = dialect.writer(request);
  const messages: Answer[] = [];
  let isOver = false;
  const core = new EngineCore({ slots: 1, random: () => 0.5, killer: undefined, crash: () => {} });
  core.add(request, {
    send: (response: GenerateResponse) =>
      void messages.push(
        responseDeserialize(responseSerialize(write(response) as never)) as unknown as Answer,
      ),
    end: () => {
      isOver = true;
    },
    fail: () => assert.fail(),
  });
  for (let i = 0; i < 2 * MAX_TOKENS && !isOver; i++) core.step();
  return messages;
}

const idsIn = (messages: readonly Answer[]): number[] =>
  messages.flatMap(({ chunk }) => [...(chunk?.token_ids ?? [])]);
const countsIn = (messages: readonly Answer[]): number[] =>
  messages.flatMap(({ chunk }) => (chunk ? [chunk.completion_tokens] : []));

describe('dialects of the fake engine', () => {
  const sglang = {
    request_id: 'r-1',
    tokenized: { input_ids: [1, 5, 300] },
    sampling_params: { temperature: 0, max_new_tokens: MAX_TOKENS, ignore_eos: true },
    stream: true,
  };
  const trtllm = {
    request_id: 'r-1',
    tokenized: { input_token_ids: [1, 5, 300] },
    sampling_config: { temperature: 0 },
    max_tokens: MAX_TOKENS,
    ignore_eos: true,
    streaming: true,
  };

  it('SGLang counts from the beginning of the answer', () => {
    const messages = answerTo(DIALECTS.sglang(), sglang);
    assert.ok(messages.length > 4);
    assert.ok(messages.every(({ request_id: id }) => id === 'r-1'));
    assert.equal(idsIn(messages).length, MAX_TOKENS);
    const sent = messages.flatMap(({ chunk }) => (chunk ? [chunk.token_ids.length] : []));
    const sums = sent.map((_, i) => sent.slice(0, i + 1).reduce((sum, count) => sum + count, 0));
    assert.deepEqual(countsIn(messages), sums);
    const { complete } = messages.at(-1)!;
    assert.deepEqual([complete!.completion_tokens, complete!.finish_reason], [MAX_TOKENS, 'length']);
  });

  it('TensorRT-LLM ends with all tokens, and counts each message', () => {
    const messages = answerTo(DIALECTS.trtllm(), trtllm);
    assert.equal(
      countsIn(messages).reduce((sum, count) => sum + count, 0),
      MAX_TOKENS,
    );
    const { complete } = messages.at(-1)!;
    assert.deepEqual(complete!.output_token_ids, idsIn(messages));
    assert.equal(complete!.completion_tokens, MAX_TOKENS);
  });

  it('both make the same tokens from the same prompt', () => {
    assert.deepEqual(idsIn(answerTo(DIALECTS.sglang(), sglang)), idsIn(answerTo(DIALECTS.trtllm(), trtllm)));
  });

  it('without a stream there is one message, with all of it', () => {
    const [only, ...more] = answerTo(DIALECTS.sglang(), { ...sglang, stream: false });
    assert.equal(more.length, 0);
    assert.equal(only!.complete!.output_ids!.length, MAX_TOKENS);
    const [one] = answerTo(DIALECTS.trtllm(), { ...trtllm, streaming: false });
    assert.deepEqual(one!.complete!.output_token_ids, only!.complete!.output_ids);
  });
});
