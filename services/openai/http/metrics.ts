/** Metrics, named as OpenTelemetry names them for generative AI, in the form of Prometheus. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Usage } from '../api/answer-form.js';

/** As OpenTelemetry names the operations. */
export type Operation = 'chat' | 'text_completion';

/** One answer, while it is made. Times are milliseconds of one clock. */
export interface AnswerTimes {
  readonly begun: number;
  readonly firstToken: number | undefined;
  readonly ended: number;
}

const SECONDS = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
const FAST_SECONDS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5,
];
const TOKENS = [1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576];
const LABELS = ['gen_ai_operation_name', 'gen_ai_request_model'] as const;

export class Metrics {
  private readonly registry = new Registry();
  private readonly registers = [this.registry];
  private readonly duration = new Histogram({
    name: 'gen_ai_server_request_duration_seconds',
    help: 'Time from the request to the end of its answer. error_type: the HTTP status of a failure.',
    labelNames: [...LABELS, 'error_type'],
    buckets: SECONDS,
    registers: this.registers,
  });
  private readonly firstToken = new Histogram({
    name: 'gen_ai_server_time_to_first_token_seconds',
    help: 'Time from the request to the first token of its answer.',
    labelNames: [...LABELS],
    buckets: SECONDS,
    registers: this.registers,
  });
  private readonly tokenTime = new Histogram({
    name: 'gen_ai_server_time_per_output_token_seconds',
    help: 'Mean time of a token of an answer after its first.',
    labelNames: [...LABELS],
    buckets: FAST_SECONDS,
    registers: this.registers,
  });
  private readonly usage = new Histogram({
    name: 'gen_ai_client_token_usage',
    help: 'Tokens of a request, by gen_ai_token_type: input or output.',
    labelNames: [...LABELS, 'gen_ai_token_type'],
    buckets: TOKENS,
    registers: this.registers,
  });
  private readonly tokens = new Counter({
    name: 'outrider_openai_tokens_total',
    help: 'Tokens by caller and type: input, cached (those of the input that the engine had in its cache) or output. Answers that broke, and those whose client left, count as far as they came.',
    labelNames: ['caller', 'type'],
    registers: this.registers,
  });
  /** Requests that are being answered. */
  readonly inFlight = new Gauge({
    name: 'outrider_openai_requests_in_flight',
    help: 'Requests that are being answered.',
    registers: this.registers,
  });

  /** `model`: as the engine calls it, so that clients cannot make up values. */
  constructor(private readonly model: () => string) {}

  answered(operation: Operation, usage: Usage, times: AnswerTimes): void {
    const labels = this.labels(operation);
    const { begun, firstToken, ended } = times;
    this.duration.observe(labels, (ended - begun) / 1000);
    if (firstToken !== undefined) this.firstToken.observe(labels, (firstToken - begun) / 1000);
    if (firstToken !== undefined && usage.completionTokens > 1)
      this.tokenTime.observe(labels, (ended - firstToken) / 1000 / (usage.completionTokens - 1));
    this.usage.observe({ ...labels, gen_ai_token_type: 'input' }, usage.promptTokens);
    this.usage.observe({ ...labels, gen_ai_token_type: 'output' }, usage.completionTokens);
  }

  /** What a request has used, however its answer ended. */
  used(caller: string, { promptTokens, cachedTokens, completionTokens }: Usage): void {
    this.tokens.inc({ caller, type: 'input' }, promptTokens);
    this.tokens.inc({ caller, type: 'cached' }, cachedTokens);
    this.tokens.inc({ caller, type: 'output' }, completionTokens);
  }

  failed(operation: Operation, status: number, milliseconds: number): void {
    this.duration.observe({ ...this.labels(operation), error_type: String(status) }, milliseconds / 1000);
  }

  /** In Prometheus' text form. */
  text(): Promise<string> {
    return this.registry.metrics();
  }

  private labels(operation: Operation) {
    return { gen_ai_operation_name: operation, gen_ai_request_model: this.model() };
  }
}
