/** What the benchmark of engines and its load process say to each other, over IPC. */

export const GENERATE = '/vllm.grpc.engine.VllmEngine/Generate';
export const PROMPT_TOKENS = 64;

/** One run. */
export interface EngineLoad {
  readonly port: number;
  /** Answers under way, all the time. */
  readonly streams: number;
  /** Tokens of each, one in a message. */
  readonly tokensEach: number;
  /** Between two tokens of an answer. */
  readonly gapMs: number;
  /** All answers get their next token at the same time. */
  readonly isInSteps: boolean;
  readonly warmMs: number;
  readonly measureMs: number;
  /** Processes whose CPU time is read when the measured part begins and ends. */
  readonly pids: readonly number[];
}

export interface EngineResult {
  /** That came in the measured part; nearly all bring one token. */
  readonly messages: number;
  readonly perSecond: number;
  /** Of each process. */
  readonly cpuNs: readonly number[];
  readonly loadCpuNs: number;
  /** Why it is no figure; empty: each answer was whole and ended OK. */
  readonly problem: string;
}
