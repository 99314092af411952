/** The model of the engine, with its tokenizer. */
import { filesOfArchive, filesOfFolder, type TokenizerFiles } from '../tokenizer/files.js';
import { TokenizerThread } from '../tokenizer/tokenizer-thread.js';
import type { EngineClient } from './engine-client.js';

export interface Model {
  /** The names by which clients may ask for it; the first is its own. */
  readonly names: readonly string[];
  /** Tokens of prompt and answer together; 0: not known. */
  readonly maxContext: number;
  readonly eosTokens: readonly number[];
  /** Encodes prompts. A long one takes a while, so answers have a thread of their own. */
  readonly prompts: TokenizerThread;
  readonly answers: TokenizerThread;
}

export interface ModelOptions {
  readonly engine: EngineClient;
  /** Instead of the name that the engine says. */
  readonly names: readonly string[];
  /** Instead of the tokenizer that the engine sends. */
  readonly tokenizerFolder: string | undefined;
  readonly onThreadEnd: (error: Error) => void;
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
  const [prompts, answers] = await Promise.all([
    TokenizerThread.start(files, onThreadEnd),
    TokenizerThread.start(files, onThreadEnd),
  ]);
  const own = info.servedModelName || info.modelPath || 'model';
  return {
    names: names.length > 0 ? names : [own],
    maxContext: info.maxContextLength ?? 0,
    eosTokens: info.eosTokenIds ?? [],
    prompts,
    answers,
  };
}
