import { HEALTH_CHECK, Serving } from '../../codec/health.js';
import type { Address } from '../../config/model.js';
import { Status } from '../../core/outcome/status.js';
import { type ModelClient, type ModelClientDeps, openModelClient, type UnaryAnswer } from './grpc-client.js';

/**
 * The state of a model server. `silent`: no answer in time, or no connection; only silence can mean
 * a hang.
 */
export type Health =
  | { readonly kind: 'serving' }
  | { readonly kind: 'not-serving' | 'silent'; readonly why: string };

const REQUEST = Buffer.alloc(0); // HealthCheckRequest{service: ""}
const MAX_ANSWER_BYTES = 64;

/**
 * Asks a local model server for its health: `grpc.health.v1.Health/Check` of the whole server, over
 * a connection of its own. A server that answers UNIMPLEMENTED (no health service) counts as
 * serving.
 */
export class HealthProbe {
  private readonly client: ModelClient;

  constructor(address: Address, deps: ModelClientDeps) {
    this.client = openModelClient(address, deps);
  }

  /** Never rejects. Resolves within `timeoutMs`; after a timeout the connection is closed. */
  async check(timeoutMs: number): Promise<Health> {
    return healthOf(await this.client.call(HEALTH_CHECK, REQUEST, { timeoutMs, maxBytes: MAX_ANSWER_BYTES }));
  }

  /** Closes the connection; the next check opens a new one. */
  close(): void {
    this.client.close();
  }
}

function healthOf(answer: UnaryAnswer): Health {
  if (answer.kind === 'silent') return answer;
  if (answer.kind === 'status') {
    if (answer.status === Status.UNIMPLEMENTED) return { kind: 'serving' };
    return { kind: 'not-serving', why: `the health check answered status ${answer.status}` };
  }
  // HealthCheckResponse{status}: field 1 as a varint; absent means UNKNOWN
  const { message } = answer;
  const serving = message.length === 2 && message[0] === 0x08 && message[1] === Serving.SERVING;
  return serving ? { kind: 'serving' } : { kind: 'not-serving', why: 'the model reports NOT_SERVING' };
}
