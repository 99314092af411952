/** An answer of the agent: its bytes as they came. */
export interface Answer {
  readonly status: number;
  /** `X-Consul-Index`, for people: inexact beyond 2^53. Undefined when absent or no number. */
  readonly index: number | undefined;
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, string | undefined>>;
}

/** Kinds of failure. `status`: an answer came, and it was not 2xx. `cancelled`: by the signal, or by `close`. */
export type AgentFault = 'unreachable' | 'timeout' | 'too-large' | 'status' | 'cancelled';

/** Why a request failed, in one line. */
export class AgentError extends Error {
  /** @param message one line fit for a log: "403 Permission denied". */
  constructor(
    readonly fault: AgentFault,
    message: string,
    readonly status?: number,
    /** What came with the status, its body cut at 4 KiB. */
    readonly answer?: Answer,
  ) {
    super(message);
    this.name = 'AgentError';
  }
}

/** The bounds of one request. */
export interface GetOptions {
  /** The whole exchange, connecting included. */
  readonly timeoutMs: number;
  readonly maxBytes: number;
  readonly signal?: AbortSignal;
}

/** Parameters of a URL, not encoded yet. */
export type Query = Readonly<Record<string, string>>;

/** The part of an agent that queries read from. */
export interface AgentReader {
  /**
   * @param path from `/v1` on, its segments percent-encoded: `/health/connect/digits`.
   * @throws AgentError also for every status but 2xx.
   */
  get(path: string, query: Query, options: GetOptions): Promise<Answer>;
}
