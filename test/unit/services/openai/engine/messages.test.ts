import assert from 'node:assert/strict';
import { readChat, readCompletion } from '../../../../../services/openai/api/request.js';
import { generateRequest } from '../../../../../services/openai/engine/messages.js';

describe('the request to the engine', () => {
  it('has ids and no stop strings, so that another engine can go on', () => {
    const { sampling } = readCompletion({
      model: 'm',
      prompt: [1],
      stop: ['END'],
      temperature: 0,
      max_tokens: 5,
    });
    assert.deepEqual(generateRequest('id', [1, 2], sampling), {
      requestId: 'id',
      tokenized: { inputIds: [1, 2] },
      samplingParams: { maxTokens: 5, temperature: 0 },
      stream: true,
    });
  });

  it('says nothing that the client does not say', () => {
    const { sampling } = readChat({ model: 'm', messages: [{ role: 'user', content: 'hi' }] });
    assert.deepEqual(generateRequest('id', [1], sampling).samplingParams, {});
  });

  it('has what the client says', () => {
    const { sampling } = readCompletion({
      ...{ model: 'm', prompt: 'p', stop_token_ids: [7], ignore_eos: true, logit_bias: { 5: 1.5 } },
      ...{ min_tokens: 2, min_p: 0.1, repetition_penalty: 1.1 },
    });
    assert.deepEqual(generateRequest('id', [1], sampling).samplingParams, {
      ...{ maxTokens: 16, minTokens: 2, minP: 0.1, repetitionPenalty: 1.1 },
      ...{ stopTokenIds: [7], ignoreEos: true, logitBias: { 5: 1.5 } },
    });
  });
});
