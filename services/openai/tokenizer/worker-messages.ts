/** Messages between the service and the threads that have the tokenizer. */
import type { TokenizerFiles } from './files.js';
import type { TextPrompt } from './prompt-encoder.js';

/** What a thread begins with. */
export interface WorkerStart {
  readonly files: TokenizerFiles;
  /** Tokens that a prompt may have; 0: not known. */
  readonly maxTokens: number;
}

/** With the number under which the reply comes. */
export type WorkerRequest = { readonly id: number } & (
  | { readonly kind: 'encode'; readonly prompt: TextPrompt }
  /** The tokens that follow in an answer; with `isEnd` the rest of its text is returned too. */
  | {
      readonly kind: 'decode';
      readonly answer: number;
      readonly ids: readonly number[];
      readonly isEnd: boolean;
    }
);

export type WorkerMessage =
  | { readonly kind: 'request'; readonly request: WorkerRequest }
  /** The answer is over; no reply comes. */
  | { readonly kind: 'forget'; readonly answer: number };

export type WorkerReply =
  | { readonly kind: 'ready' }
  | { readonly kind: 'ids'; readonly id: number; readonly ids: readonly number[] }
  | { readonly kind: 'text'; readonly id: number; readonly text: string }
  /** `isPrompt`: the prompt is wrong, such as a chat that the template refuses. */
  | {
      readonly kind: 'failed';
      readonly id: number;
      readonly message: string;
      readonly isPrompt: boolean;
      readonly code?: string | undefined;
    };
