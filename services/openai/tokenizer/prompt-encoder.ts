/** Encodes the prompts of all callers, one after the other. */
import { badRequest } from '../api/errors.js';
import type { Prompt } from '../api/request.js';
import { Turns } from './turns.js';

/** What is encoded; ids are tokens already. */
export type TextPrompt = Exclude<Prompt, { kind: 'ids' }>;

/** A thread that encodes; `TokenizerThread` is one. */
export interface EncodingThread {
  encode(prompt: TextPrompt): Promise<readonly number[]>;
  /** Ends it, in the middle of what it does. */
  stop(): void;
}

export interface PromptEncoderOptions {
  /** Another thread in place of one that was stopped. */
  readonly start: () => Promise<EncodingThread>;
  /** It could not be started. */
  readonly onEnd: (error: Error) => void;
  /** How long one encoding may take. A thread that takes longer is replaced. */
  readonly limitMs: number;
  /** Calls `fn` later, unless the function that it returns is called before. */
  readonly after: (ms: number, fn: () => void) => () => void;
}

interface Waiting {
  readonly prompt: TextPrompt;
  readonly resolve: (ids: readonly number[]) => void;
  readonly reject: (error: unknown) => void;
}

export class PromptEncoder {
  private readonly turns = new Turns<Waiting>();
  private isBusy = false;
  private thread: Promise<EncodingThread>;

  constructor(
    first: EncodingThread,
    private readonly options: PromptEncoderOptions,
  ) {
    this.thread = Promise.resolve(first);
  }

  /**
   * The token ids of a prompt. Callers take turns. A prompt whose client has gone meanwhile is not read, and not kept.
   * Throws an `ApiError` if the prompt is wrong or takes too long, and the reason of `gone`.
   */
  async encode(prompt: Prompt, caller: string, gone: AbortSignal): Promise<readonly number[]> {
    if (prompt.kind === 'ids') return prompt.ids;
    gone.throwIfAborted();
    let leave = (): void => {};
    try {
      return await new Promise<readonly number[]>((resolve, reject) => {
        const waiting: Waiting = { prompt, resolve, reject };
        leave = () => {
          this.turns.remove(caller, waiting);
          reject(gone.reason);
        };
        gone.addEventListener('abort', leave);
        this.turns.add(caller, waiting);
        void this.encodeWaiting();
      });
    } finally {
      gone.removeEventListener('abort', leave);
    }
  }

  private async encodeWaiting(): Promise<void> {
    if (this.isBusy) return;
    this.isBusy = true;
    for (let next = this.turns.next(); next !== undefined; next = this.turns.next()) await this.run(next);
    this.isBusy = false;
  }

  private async run({ prompt, resolve, reject }: Waiting): Promise<void> {
    const { limitMs, after } = this.options;
    try {
      const thread = await this.thread;
      let cancel = (): void => {};
      const late = new Promise<never>((_, fail) => {
        cancel = after(limitMs, () => {
          const field = prompt.kind === 'chat' ? 'messages' : 'prompt';
          fail(badRequest(`The prompt takes the tokenizer longer than ${limitMs / 1000} s.`, field));
          this.replace(thread);
        });
      });
      try {
        resolve(await Promise.race([thread.encode(prompt), late]));
      } finally {
        cancel();
      }
    } catch (error) {
      reject(error);
    }
  }

  private replace(thread: EncodingThread): void {
    const { start, onEnd } = this.options;
    thread.stop();
    this.thread = start();
    this.thread.catch(onEnd);
  }
}
