/** A thread that has the tokenizer, as promises. */
import { Worker } from 'node:worker_threads';
import { ApiError, badRequest } from '../api/errors.js';
import type { Prompt } from '../api/request.js';
import type { TokenizerFiles } from './files.js';
import type { WorkerMessage, WorkerReply, WorkerRequest } from './worker-messages.js';

interface Waiting {
  resolve(reply: WorkerReply): void;
  reject(error: Error): void;
}

type Unnumbered<Request> = Request extends unknown ? Omit<Request, 'id'> : never;

/** The text of one answer while its tokens come. */
export interface AnswerText {
  /** The text that these tokens complete. */
  push(ids: readonly number[]): Promise<string>;
  /** The rest of the text. */
  end(): Promise<string>;
  /** Frees the state; always to be called. */
  close(): void;
}

export class TokenizerThread {
  private readonly waiting = new Map<number, Waiting>();
  /** The end of the last prompt that was asked for. */
  private encoding: Promise<void> = Promise.resolve();
  private requests = 0;
  private answers = 0;

  private constructor(private readonly worker: Worker) {
    worker.on('message', (reply: WorkerReply) => {
      if (reply.kind === 'ready') return;
      const waiting = this.waiting.get(reply.id);
      this.waiting.delete(reply.id);
      waiting?.resolve(reply);
    });
  }

  /** Resolves once the tokenizer is loaded. `onEnd`: the thread has ended, which it never should. */
  static start(files: TokenizerFiles, onEnd: (error: Error) => void): Promise<TokenizerThread> {
    return new Promise((resolve, reject) => {
      const worker = new Worker(new URL('worker.js', import.meta.url), { workerData: files });
      const thread = new TokenizerThread(worker);
      let ended: (error: Error) => void = reject;
      worker.once('message', () => {
        ended = onEnd;
        resolve(thread);
      });
      worker.on('error', (error: Error) => {
        thread.fail(error);
        ended(error);
      });
      // The service ends when its listeners are closed.
      worker.unref();
    });
  }

  /**
   * The token ids of a prompt. Prompts are read one after the other. One whose client has gone meanwhile is not read, and not kept.
   * Throws an `ApiError` if the prompt is wrong, and the reason of `gone`.
   */
  async encode(prompt: Prompt, gone: AbortSignal): Promise<readonly number[]> {
    if (prompt.kind === 'ids') return prompt.ids;
    let kept: typeof prompt | undefined = prompt;
    const forget = (): void => {
      kept = undefined;
    };
    gone.addEventListener('abort', forget, { once: true });
    const before = this.encoding;
    const reply = before.then(() => {
      gone.throwIfAborted();
      return this.ask({ kind: 'encode', prompt: kept! });
    });
    this.encoding = reply.then(forget, forget);
    const answer = await reply;
    if (answer.kind !== 'ids') throw new Error(`unexpected reply: ${answer.kind}`);
    return answer.ids;
  }

  /** The text of a new answer. */
  answer(): AnswerText {
    const answer = this.answers++;
    const decode = async (ids: readonly number[], isEnd: boolean): Promise<string> => {
      const reply = await this.ask({ kind: 'decode', answer, ids, isEnd });
      if (reply.kind !== 'text') throw new Error(`unexpected reply: ${reply.kind}`);
      return reply.text;
    };
    return {
      push: (ids) => decode(ids, false),
      end: () => decode([], true),
      close: () => this.post({ kind: 'forget', answer }),
    };
  }

  private async ask(request: Unnumbered<WorkerRequest>): Promise<WorkerReply> {
    const id = this.requests++;
    const reply = await new Promise<WorkerReply>((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.post({ kind: 'request', request: { ...request, id } });
    });
    if (reply.kind !== 'failed') return reply;
    const field = request.kind === 'encode' && request.prompt.kind === 'chat' ? 'messages' : 'prompt';
    if (reply.isPrompt) throw badRequest(reply.message, field);
    throw new ApiError(`The tokenizer failed: ${reply.message}`, { status: 500, type: 'server_error' });
  }

  private post(message: WorkerMessage): void {
    this.worker.postMessage(message);
  }

  private fail(error: Error): void {
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }
}
