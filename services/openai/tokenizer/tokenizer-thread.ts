/** A thread that has the tokenizer, as promises. */
import { Worker } from 'node:worker_threads';
import { ApiError, badRequest } from '../api/errors.js';
import type { EncodingThread, TextPrompt } from './prompt-encoder.js';
import type { WorkerMessage, WorkerReply, WorkerRequest, WorkerStart } from './worker-messages.js';

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

export class TokenizerThread implements EncodingThread {
  private readonly waiting = new Map<number, Waiting>();
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
  static start(workerData: WorkerStart, onEnd: (error: Error) => void): Promise<TokenizerThread> {
    return new Promise((resolve, reject) => {
      const worker = new Worker(new URL('worker.js', import.meta.url), { workerData });
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

  /** The token ids of a prompt. Throws an `ApiError` if the prompt is wrong. */
  async encode(prompt: TextPrompt): Promise<readonly number[]> {
    const answer = await this.ask({ kind: 'encode', prompt });
    if (answer.kind !== 'ids') throw new Error(`unexpected reply: ${answer.kind}`);
    return answer.ids;
  }

  stop(): void {
    void this.worker.terminate();
    this.fail(new Error('the thread was stopped'));
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
    if (reply.isPrompt) throw badRequest(reply.message, field, reply.code);
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
