import {
  fileQuestion,
  REFLECTION_METHODS,
  readMethods,
  readServices,
  servicesQuestion,
} from '../codec/reflection.js';
import type { Address } from '../config/model.js';
import { Status, statusName } from '../core/outcome/status.js';
import { exponentialMs } from '../core/retry/backoff.js';
import type { MethodList } from '../core/routing/method-kinds.js';
import { type ModelClient, openModelClient, type UnaryAnswer } from '../health/model/grpc-client.js';
import type { Timer } from '../runtime/time/timers.js';
import type { AppContext } from './context.js';

/** A server that runs an inference may answer after it. */
const TIMEOUT_MS = 2_000;
/** Longest answer: a file with what it imports. */
const MAX_ANSWER_BYTES = 1024 * 1024;
/** Wait before the first new attempt after a failure, ms; doubled with each further one. */
const RETRY_MS = 5_000;
/** After so many failures in a row the service is left alone until it starts again. */
const MAX_FAILURES = 5;

/** What became of a question. `refused`: the server has no reflection. */
type Described = { readonly list: MethodList } | { readonly refused: true } | { readonly why: string };

/**
 * Asks the local model service by gRPC server reflection which methods it has, each time it starts. The answer is bounded in time and
 * size; a service that gives none is left alone, and its methods stay what the file says.
 */
export class DescribedMethods {
  /** A connection of its own: an answer waits for the run under way, and must not hold up a probe. */
  private readonly client: ModelClient;
  private timer: Timer | undefined;
  private failures = 0;
  private isReady = false;
  private isAsking = false;
  /** It has started anew meanwhile. */
  private isStale = false;
  private isStopped = false;
  private lastWhy = '';

  /** @param onAnswer gets what the service has said; undefined: it says nothing. */
  constructor(
    address: Address,
    private readonly context: AppContext,
    private readonly onAnswer: (list: MethodList | undefined) => void,
  ) {
    this.client = openModelClient(address, context.deps);
  }

  /** The service is ready, or is not. One that starts anew may say something else than before. */
  update(isReady: boolean): void {
    const hasStarted = isReady && !this.isReady;
    this.isReady = isReady;
    if (!hasStarted) return;
    this.failures = 0;
    this.isStale = true;
    this.timer?.cancel();
    void this.ask();
  }

  stop(): void {
    this.isStopped = true;
    this.timer?.cancel();
    this.client.close();
  }

  private async ask(): Promise<void> {
    if (this.isAsking || this.isStopped) return;
    this.isAsking = true;
    this.isStale = false;
    const described = await this.read();
    this.isAsking = false;
    this.client.close();
    if (this.isStopped) return;
    if (this.isStale) return void this.ask();
    this.take(described);
  }

  private take(described: Described): void {
    const { logger, timers } = this.context.deps;
    if ('list' in described) {
      const { unary, streaming } = described.list;
      logger.debug({ unary: unary.length, streaming: streaming.length }, 'methods of the service are known');
      return this.onAnswer(described.list);
    }
    if ('refused' in described) return this.onAnswer(undefined);
    const { why } = described;
    if (why !== this.lastWhy) logger.info({ why }, 'the service does not describe its methods');
    this.lastWhy = why;
    this.failures++;
    if (this.failures >= MAX_FAILURES) return this.onAnswer(undefined);
    this.timer = timers.after(exponentialMs(this.failures, RETRY_MS), () => void this.ask(), { unref: true });
  }

  private async read(): Promise<Described> {
    for (const method of REFLECTION_METHODS) {
      const answer = await this.call(method, servicesQuestion());
      if (answer.kind === 'status' && answer.status === Status.UNIMPLEMENTED) continue;
      if (answer.kind !== 'message') return { why: whyNot(answer) };
      const services = readServices(answer.message);
      return services === undefined
        ? { why: 'its list of services cannot be read' }
        : this.files(method, services);
    }
    return { refused: true };
  }

  /** A service whose file cannot be had leaves the others as they are. */
  private async files(method: string, services: readonly string[]): Promise<Described> {
    const lists: MethodList[] = [];
    let why = '';
    for (const service of services) {
      const answer = await this.call(method, fileQuestion(service));
      // A server that is slow once would be waited for at each service.
      if (answer.kind === 'silent') return { why: whyNot(answer) };
      const list = answer.kind === 'message' ? readMethods(answer.message, service) : undefined;
      if (list === undefined) why = `the file of ${service} cannot be read`;
      else lists.push(list);
    }
    if (lists.length === 0 && why !== '') return { why };
    return {
      list: {
        unary: lists.flatMap(({ unary }) => unary),
        streaming: lists.flatMap(({ streaming }) => streaming),
      },
    };
  }

  private call(method: string, question: Buffer): Promise<UnaryAnswer> {
    return this.client.call(method, question, { timeoutMs: TIMEOUT_MS, maxBytes: MAX_ANSWER_BYTES });
  }
}

function whyNot(answer: Exclude<UnaryAnswer, { kind: 'message' }>): string {
  return answer.kind === 'silent'
    ? answer.why
    : `${statusName(answer.status)} ${answer.message}`.trim().slice(0, 200);
}
