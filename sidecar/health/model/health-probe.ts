/**
 * Asks the local model service how it is: `grpc.health.v1.Health/Check` for the whole server, over its own socket.
 *
 * The question is empty and the answer one small number. A server without a health service that answers gRPC counts
 * as serving.
 */

import { HEALTH_CHECK, Serving } from '../../codec/health.js';
import type { Address } from '../../config/model.js';
import { Status } from '../../core/outcome/status.js';
import type { Timers } from '../../runtime/time/timers.js';
import { GrpcClient, type UnaryAnswer } from './grpc-client.js';

/** `silent`: nobody answered in time or at all. The difference matters: only silence can mean a hang. */
export type Health =
  | { readonly kind: 'serving' }
  | { readonly kind: 'not-serving'; readonly why: string }
  | { readonly kind: 'silent'; readonly why: string };

const QUESTION = Buffer.alloc(0); // HealthCheckRequest{service: ""}
const MAX_ANSWER_BYTES = 64;

export class HealthProbe {
  private readonly client: GrpcClient;

  constructor(address: Address, timers: Timers) {
    this.client = new GrpcClient(address, timers);
  }

  /** Never rejects. Answers within `timeoutMs`; a question without an answer also ends the connection. */
  async check(timeoutMs: number): Promise<Health> {
    return judge(await this.client.call(HEALTH_CHECK, QUESTION, { timeoutMs, maxBytes: MAX_ANSWER_BYTES }));
  }

  /** Ends the connection. The probe may be used again. */
  close(): void {
    this.client.close();
  }
}

function judge(answer: UnaryAnswer): Health {
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
