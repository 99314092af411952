/**
 * The program of a thread that has the tokenizer: it loads for seconds, and a long prompt takes a while. It gets its files as
 * `workerData`.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { Template } from '@huggingface/jinja';
import { Tokenizer } from '@huggingface/tokenizers';
import { IncrementalText } from '../text/incremental-text.js';
import { BoundedEncoding, PromptTooLong } from './bounded-encoding.js';
import { readParts } from './files.js';
import { charactersOfToken, type TextTokenizer } from './text-bound.js';
import { type MergingModel, mayCutAtWords, wordsOf } from './word-starts.js';
import type { WorkerMessage, WorkerReply, WorkerRequest, WorkerStart } from './worker-messages.js';

const { files, maxTokens } = workerData as WorkerStart;
const parts = readParts(files);
const tokenizer = new Tokenizer(parts.tokenizer, parts.config);
const { model = {} } = parts.tokenizer as { readonly model?: MergingModel };
const encoding = new BoundedEncoding(tokenizer.model!, {
  maxTokens,
  charactersOfToken: charactersOfToken(parts.tokenizer as TextTokenizer),
  cut: mayCutAtWords(model) ? wordsOf : undefined,
});
const template = parts.chatTemplate === undefined ? undefined : new Template(parts.chatTemplate);
const special = new Set(
  [...tokenizer.get_added_tokens_decoder()].flatMap(([id, { special }]) => (special ? id : [])),
);
const answers = new Map<number, IncrementalText>();
const port = parentPort!;

/** A wrong prompt, not a defect. */
class PromptError extends Error {}

/** Spaces stay as the model wrote them. */
const decode = (ids: readonly number[]): string =>
  ids.length === 0 ? '' : tokenizer.decode([...ids], { clean_up_tokenization_spaces: false });

/** Models may have more ids than their tokenizer has tokens. */
const hasText = (id: number): boolean => !special.has(id) && tokenizer.id_to_token(id) !== undefined;

function encode(prompt: Extract<WorkerRequest, { kind: 'encode' }>['prompt']): readonly number[] {
  if (prompt.kind === 'text') {
    encoding.begin(prompt.text);
    return tokenizer.encode(prompt.text).ids;
  }
  if (template === undefined) throw new PromptError('The model has no chat template: use /v1/completions.');
  let text: string;
  try {
    const { messages, variables } = prompt;
    text = template.render({ add_generation_prompt: true, ...parts.specialTokens, ...variables, messages });
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    throw new PromptError(`The chat template of the model refuses these messages: ${said}`);
  }
  encoding.begin(text);
  // The template writes the special tokens itself.
  return tokenizer.encode(text, { add_special_tokens: false }).ids;
}

function decodeNext({ answer, ids, isEnd }: Extract<WorkerRequest, { kind: 'decode' }>): string {
  let text = answers.get(answer);
  if (text === undefined) {
    text = new IncrementalText(decode);
    answers.set(answer, text);
  }
  const fresh = text.push(ids.filter(hasText));
  return isEnd ? fresh + text.end() : fresh;
}

function replyTo(request: WorkerRequest): WorkerReply {
  const { id } = request;
  try {
    if (request.kind === 'encode') return { kind: 'ids', id, ids: encode(request.prompt) };
    return { kind: 'text', id, text: decodeNext(request) };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof PromptTooLong)
      return { kind: 'failed', id, message, isPrompt: true, code: error.code };
    return { kind: 'failed', id, message, isPrompt: error instanceof PromptError };
  }
}

port.on('message', (message: WorkerMessage) => {
  if (message.kind === 'forget') answers.delete(message.answer);
  else port.postMessage(replyTo(message.request));
});
port.postMessage({ kind: 'ready' } satisfies WorkerReply);
