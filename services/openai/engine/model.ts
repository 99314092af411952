/** The model of the engine, with its tokenizer. */
import { filesOfArchive, filesOfFolder, type TokenizerFiles } from '../tokenizer/files.js';
import { PromptEncoder } from '../tokenizer/prompt-encoder.js';
import { TokenizerThread } from '../tokenizer/tokenizer-thread.js';
import type { EngineClient } from './engine-client.js';

export interface Model {
  /** The names by which clients may ask for it; the first is its own. */
  readonly names: readonly string[];
  /** Tokens of prompt and answer together; 0: not known. */
  readonly maxContext: number;
  readonly eosTokens: readonly number[];
  /** Encodes prompts. A long one takes a while, so answers have a thread of their own. */
  readonly prompts: PromptEncoder;
  readonly answers: TokenizerThread;
}

/** Far more than a prompt takes that keeps to the bounds of an encoding. */
const ENCODING_LIMIT_MS = 30_000;

export interface ModelOptions {
  readonly engine: EngineClient;
  /** Instead of the name that the engine says. */
  readonly names: readonly string[];
  /** Instead of the tokenizer that the engine sends. */
  readonly tokenizerFolder: string | undefined;
  readonly onThreadEnd: (error: Error) => void;
}

/** Two of them, or none: one that came up beside one that did not would stay for good, and loading is tried again and again. */
export async function startBoth<Thread extends { stop(): void }>(
  start: () => Promise<Thread>,
): Promise<[Thread, Thread]> {
  const [first, second] = await Promise.allSettled([start(), start()]);
  if (first.status === 'fulfilled' && second.status === 'fulfilled') return [first.value, second.value];
  for (const each of [first, second]) if (each.status === 'fulfilled') each.value.stop();
  throw first.status === 'rejected' ? first.reason : (second as PromiseRejectedResult).reason;
}

/** Throws if the engine cannot be asked, or its tokenizer cannot be read. */
export async function loadModel({
  engine,
  names,
  tokenizerFolder,
  onThreadEnd,
}: ModelOptions): Promise<Model> {
  const info = await engine.modelInfo();
  const files: TokenizerFiles =
    tokenizerFolder === undefined ? filesOfArchive(await engine.tokenizer()) : filesOfFolder(tokenizerFolder);
  const maxContext = info.maxContextLength ?? 0;
  const start = () => TokenizerThread.start({ files, maxTokens: maxContext }, onThreadEnd);
  const [first, answers] = await startBoth(start);
  const prompts = new PromptEncoder(first, {
    start,
    onEnd: onThreadEnd,
    limitMs: ENCODING_LIMIT_MS,
    after: (ms, fn) => {
      const timer = setTimeout(fn, ms);
      return () => clearTimeout(timer);
    },
  });
  const own = info.servedModelName || info.modelPath || 'model';
  return {
    names: names.length > 0 ? names : [own],
    maxContext,
    eosTokens: info.eosTokenIds ?? [],
    prompts,
    answers,
  };
}
