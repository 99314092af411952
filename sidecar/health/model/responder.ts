import { framed } from '../../codec/grpc-message.js';
import { healthAnswer, readHealthQuestion, Serving } from '../../codec/health.js';
import { makeField } from '../../http2/hpack/field.js';
import { HeaderBlock, StableList } from '../../http2/hpack/header-list.js';
import type { StoredResponse } from '../../relay/response.js';
import type { ChunkList } from '../../transport/chunk-list.js';
import type { AskedHealth } from './asked-health.js';

/** A request holds a service name; a longer one is passed to the model unread. */
const MAX_QUESTION_BYTES = 4096;

/** Whether a service serves (empty: the server as a whole); undefined: not known. */
export type KnownHealth = (service: string) => boolean | undefined;

/**
 * Answers peers' health checks from what the sidecar knows of its models. The model's own answer
 * would wait behind its work, and a busy model would look unhealthy. Checks that cannot be answered
 * here go to the model.
 */
export class HealthResponder {
  private readonly serving = storedResponse(healthAnswer(true));
  private readonly notServing = storedResponse(healthAnswer(false));

  /**
   * @param isOwn whether a service is one whose health the sidecar finds out itself, known yet or not.
   * @param asked for the services that only the model server knows; null: it is not asked.
   */
  constructor(
    private readonly known: KnownHealth,
    private readonly isOwn: (service: string) => boolean = (service) => known(service) !== undefined,
    private readonly asked: AskedHealth | null = null,
  ) {}

  /** @param question the whole request body. Returns undefined when the model has to answer. */
  answer(question: ChunkList | null): StoredResponse | undefined {
    const service = serviceIn(question);
    const isServing = service === undefined ? undefined : this.known(service);
    if (isServing === undefined) return undefined;
    return isServing ? this.serving : this.notServing;
  }

  /** The service that a Watch is about; undefined when the model has to answer. @param question the whole request body. */
  watched(question: ChunkList | null): string | undefined {
    const service = serviceIn(question);
    return service !== undefined && (this.finds(service) || this.asked !== null) ? service : undefined;
  }

  /** One more watches the service, until `endWatch`. False: too many services are watched that the model has to be asked for. */
  beginWatch(service: string): boolean {
    return this.finds(service) || this.asked === null || this.asked.begin(service);
  }

  endWatch(service: string): void {
    this.asked?.end(service);
  }

  /** What those who watch the service are told, one of `Serving`; undefined: nothing yet. */
  statusOf(service: string): number | undefined {
    if (this.finds(service)) {
      const isServing = this.known(service);
      if (isServing === undefined) return undefined;
      return isServing ? Serving.SERVING : Serving.NOT_SERVING;
    }
    return this.asked === null ? Serving.SERVICE_UNKNOWN : this.asked.statusOf(service);
  }

  private finds(service: string): boolean {
    return service === '' || this.isOwn(service);
  }
}

function serviceIn(question: ChunkList | null): string | undefined {
  if (question === null || question.bytes > MAX_QUESTION_BYTES) return undefined;
  return readHealthQuestion(question.whole());
}

/** Responses of ServerLive and ServerReady (Open Inference Protocol): one bool, field 1. */
export const YES: StoredResponse = messageResponse(Buffer.from([0x08, 1]));
export const NO: StoredResponse = messageResponse(Buffer.alloc(0));

export function messageResponse(message: Buffer): StoredResponse {
  return storedResponse(framed(message));
}

function storedResponse(body: Buffer): StoredResponse {
  const head = blockOf({ ':status': '200', 'content-type': 'application/grpc' });
  return { head, body, trailers: blockOf({ 'grpc-status': '0' }) };
}

function blockOf(fields: Readonly<Record<string, string>>): HeaderBlock {
  const list = StableList.of(Object.entries(fields).map(([name, value]) => makeField(name, value)));
  return new HeaderBlock(list, null, list.bytes, list.count, false, false);
}
