/** Counters of the calls of language-model engines, in tokens. Buckets are those that OpenTelemetry's conventions for generative AI ask for. */

export const TOKEN_BOUNDS: readonly number[] = Array.from({ length: 14 }, (_, i) => 4 ** i);
/** Seconds. */
export const FIRST_TOKEN_BOUNDS: readonly number[] = [
  ...[0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1],
  ...[0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
];
/** Seconds. */
export const PER_TOKEN_BOUNDS: readonly number[] = [
  ...[0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3],
  ...[0.4, 0.5, 0.75, 1, 2.5],
];

/** Callers that are told apart at one service; more are `other`. */
const MOST_CALLERS = 64;

/** How many values lie within each bound, and their sum. One more bucket takes the rest. */
export class Buckets {
  readonly counts: Float64Array;
  sum = 0;

  constructor(readonly bounds: readonly number[]) {
    this.counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    const { bounds } = this;
    let i = 0;
    while (i < bounds.length && value > bounds[i]!) i++;
    this.counts[i]!++;
    this.sum += value;
  }
}

/** What one call has asked for and got. Times are monotonic ms. */
export interface CallUsage {
  /** Which engine: `vllm` … */
  readonly engine: string;
  /** Most tokens that it asked for; −1: it did not say. */
  readonly maxTokens: number;
  /** Tokens of the prompt, as the engine said, and those of them that it had in its cache; 0: it has not said. */
  readonly promptTokens: number;
  readonly cachedTokens: number;
  /** Tokens that have gone to the caller, each once. */
  readonly outputTokens: number;
  /** When the first ones went there, and how many they were; 0: none has. */
  readonly firstMs: number;
  readonly firstTokens: number;
  /** When the last ones did. */
  readonly lastMs: number;
}

/** Calls of one engine: direction × service × caller. */
export class EngineStats {
  readonly inputTokens = new Buckets(TOKEN_BOUNDS);
  readonly outputTokens = new Buckets(TOKEN_BOUNDS);
  cachedTokens = 0;
  readonly firstToken = new Buckets(FIRST_TOKEN_BOUNDS);
  readonly perToken = new Buckets(PER_TOKEN_BOUNDS);

  constructor(
    readonly direction: 'inbound' | 'outbound',
    readonly service: string,
    readonly caller: string,
    readonly engine: string,
  ) {}

  /** The first token of a call has come, so long after the call. */
  begin(elapsedMs: number): void {
    this.firstToken.observe(elapsedMs / 1000);
  }

  /** A call is over, however it ended. One to which its engine said nothing counts no tokens. */
  finish({ promptTokens, cachedTokens, outputTokens, firstTokens, firstMs, lastMs }: CallUsage): void {
    if (promptTokens === 0 && outputTokens === 0) return;
    this.inputTokens.observe(promptTokens);
    this.outputTokens.observe(outputTokens);
    this.cachedTokens += cachedTokens;
    const later = outputTokens - firstTokens;
    if (later > 0) this.perToken.observe((lastMs - firstMs) / 1000 / later);
  }
}

/** Whose calls are counted together. */
export type EngineKinds = Pick<EngineStats, 'direction' | 'service' | 'caller' | 'engine'>;

/** The counters of all engines. */
export class EngineTable {
  /** Each set of labels once. */
  readonly all: EngineStats[] = [];
  private readonly byKinds = new Map<string, EngineStats>();
  /** Callers that are told apart, by service. */
  private readonly callers = new Map<string, number>();

  of(kinds: EngineKinds): EngineStats {
    const { direction, service, engine, caller } = kinds;
    const place = `${direction} ${engine} ${service}`;
    const key = `${place} ${caller}`;
    const known = this.byKinds.get(key);
    if (known !== undefined) return known;
    const count = this.callers.get(place) ?? 0;
    if (count >= MOST_CALLERS && caller !== OTHER) return this.of({ ...kinds, caller: OTHER });
    this.callers.set(place, count + 1);
    const stats = new EngineStats(direction, service, caller, engine);
    this.byKinds.set(key, stats);
    this.all.push(stats);
    return stats;
  }
}

const OTHER = 'other';
