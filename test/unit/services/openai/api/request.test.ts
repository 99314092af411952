import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ApiError } from '../../../../../services/openai/api/errors.js';
import { readChat, readCompletion } from '../../../../../services/openai/api/request.js';
import { runs } from '../../../../kit/mocha/effort.js';

const MESSAGES = [{ role: 'user', content: 'hello' }];
const chat = (more: object = {}) => readChat({ model: 'tiny', messages: MESSAGES, ...more });
const completion = (more: object = {}) => readCompletion({ model: 'tiny', prompt: 'once', ...more });

/** The field that the error names, or its message. */
function refusedBy(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    assert.ok(error instanceof ApiError, String(error));
    assert.equal(error.status, 400);
    return error.body.error.param ?? error.message;
  }
  return 'nothing';
}

describe('a request for a chat', () => {
  it('leaves to the engine what the client leaves out', () => {
    const { sampling, ...rest } = chat();
    assert.deepEqual(rest, {
      model: 'tiny',
      prompt: { kind: 'chat', messages: MESSAGES, variables: {} },
      stop: [],
      stream: false,
      includeUsage: false,
      cacheKey: undefined,
    });
    assert.ok(
      Object.entries(sampling).every(
        ([name, value]) => value === undefined || ['stopTokenIds', 'ignoreEos', 'logitBias'].includes(name),
      ),
    );
  });

  it('takes what stock clients send', () => {
    const { sampling, stop, stream, includeUsage, cacheKey } = chat({
      ...{ max_completion_tokens: 7, max_tokens: 9, temperature: 0, top_p: 0.9, top_k: 40, seed: -1 },
      ...{ presence_penalty: 0.5, frequency_penalty: -0.5, logit_bias: { 50256: -100 }, stop: 'END' },
      ...{ stream: true, stream_options: { include_usage: true }, n: 1, user: 'u', logprobs: false },
      ...{ response_format: { type: 'text' }, tools: [], tool_choice: 'none', modalities: ['text'] },
      ...{ store: false, metadata: {}, reasoning_effort: 'low', service_tier: 'auto', audio: null },
    });
    assert.deepEqual([sampling.maxTokens, sampling.temperature, sampling.seed], [7, 0, -1]);
    assert.deepEqual([sampling.topP, sampling.topK, sampling.presencePenalty], [0.9, 40, 0.5]);
    assert.deepEqual(sampling.logitBias, { 50256: -100 });
    assert.deepEqual([stop, stream, includeUsage, cacheKey], [['END'], true, true, 'u']);
  });

  const REFUSED: readonly (readonly [field: string, more: object])[] = [
    ['tools', { tools: [{ type: 'function', function: { name: 'f' } }] }],
    ['tool_choice', { tool_choice: 'required' }],
    ['functions', { functions: [{ name: 'f' }] }],
    ['response_format', { response_format: { type: 'json_object' } }],
    ['n', { n: 2 }],
    ['logprobs', { logprobs: true }],
    ['modalities', { modalities: ['text', 'audio'] }],
    ['audio', { audio: { voice: 'alloy' } }],
    ['temperature', { temperature: 2.5 }],
    ['temperature', { temperature: '0' }],
    ['max_tokens', { max_tokens: 0 }],
    ['max_tokens', { max_tokens: 1.5 }],
    ['stop', { stop: [''] }],
    ['stop', { stop: Array.from({ length: 17 }, String) }],
    ['stop', { stop: ['\ud83d'] }],
    ['stream', { stream: 'yes' }],
    ['stream_options', { stream_options: { include_usage: true } }],
    ['logit_bias', { logit_bias: { word: 1 } }],
    ['messages', { messages: [] }],
    ['messages[0].role', { messages: [{ role: 'robot', content: '' }] }],
    ['messages[0]', { messages: [{ role: 'tool', content: '', tool_call_id: 'c' }] }],
    ['messages[0].tool_calls', { messages: [{ role: 'assistant', content: '', tool_calls: [{}] }] }],
    ['messages[0].content', { messages: [{ role: 'user' }] }],
    ['messages[0].content[0]', { messages: [{ role: 'user', content: [{ type: 'image_url' }] }] }],
    ['messages[0].content[0]', { messages: [{ role: 'user', content: [{ type: 'input_audio' }] }] }],
    ['model', { model: null }],
  ];
  for (const [field, more] of REFUSED)
    it(`names ${field} in the error for ${JSON.stringify(more)}`, () =>
      assert.equal(
        refusedBy(() => chat(more)),
        field,
      ));

  it('joins parts of text, and calls the developer a system', () => {
    const content = [
      { type: 'text', text: 'one' },
      { type: 'text', text: 'two' },
    ];
    const { prompt } = chat({ messages: [{ role: 'developer', content, name: 'dev' }] });
    assert.deepEqual(prompt.kind === 'chat' && prompt.messages, [
      { role: 'system', content: 'one\ntwo', name: 'dev' },
    ]);
  });

  it('is refused with a 400, never with another error, whatever its body is', () =>
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (body, field) => {
        for (const given of [
          body,
          { model: 'm', messages: field },
          { model: 'm', messages: MESSAGES, stop: field },
        ])
          try {
            readChat(given);
          } catch (error) {
            assert.ok(error instanceof ApiError && error.status === 400, String(error));
          }
      }),
      { numRuns: runs(300) },
    ));
});

describe('a request for a completion', () => {
  it('takes a text, an array with one text, and ids', () => {
    assert.deepEqual(completion().prompt, { kind: 'text', text: 'once' });
    assert.deepEqual(completion({ prompt: ['once'] }).prompt, { kind: 'text', text: 'once' });
    assert.deepEqual(completion({ prompt: [5] }).prompt, { kind: 'ids', ids: [5] });
    assert.deepEqual(completion({ prompt: [[5, 6]] }).prompt, { kind: 'ids', ids: [5, 6] });
  });

  it('has 16 tokens if it does not say how many, as at OpenAI', () =>
    assert.equal(completion().sampling.maxTokens, 16));

  const REFUSED: readonly (readonly [field: string, more: object])[] = [
    ['prompt', { prompt: ['one', 'two'] }],
    ['prompt', { prompt: [] }],
    ['prompt', { prompt: [-1] }],
    ['prompt', { prompt: [2 ** 32] }],
    ['prompt', { prompt: null }],
    ['logprobs', { logprobs: 0 }],
    ['best_of', { best_of: 2 }],
    ['echo', { echo: true }],
    ['suffix', { suffix: 'end' }],
  ];
  for (const [field, more] of REFUSED)
    it(`names ${field} in the error for ${JSON.stringify(more)}`, () =>
      assert.equal(
        refusedBy(() => completion(more)),
        field,
      ));
});
