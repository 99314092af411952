import { Status } from '../../core/outcome/status.js';
import { INFERENCE_SERVICE } from '../../core/routing/method.js';
import type { ModelClient, UnaryAnswer } from './grpc-client.js';

/** What a model server says of itself. `silent`: nothing, or nothing about its end. */
export type ServerLife = 'live' | 'ending' | 'silent';

const SERVER_LIVE = `${INFERENCE_SERVICE}ServerLive`;
const REQUEST = Buffer.alloc(0); // ServerLiveRequest{}
const MAX_ANSWER_BYTES = 64;

/**
 * Asks a model server whether it is ending: ServerLive of the Open Inference Protocol. Triton answers UNAVAILABLE, "Server exiting",
 * from SIGTERM on (core/src/server.cc, `IsLive`). ServerReady would not do: with strict readiness it is also false while one of many
 * models has not loaded. Never rejects.
 */
export async function queryServerLife(client: ModelClient, timeoutMs: number): Promise<ServerLife> {
  return lifeOf(await client.call(SERVER_LIVE, REQUEST, { timeoutMs, maxBytes: MAX_ANSWER_BYTES }));
}

function lifeOf(answer: UnaryAnswer): ServerLife {
  if (answer.kind === 'silent') return 'silent';
  if (answer.kind === 'status') return answer.status === Status.UNAVAILABLE ? 'ending' : 'silent';
  // ServerLiveResponse{live}: field 1 as a varint; absent means false
  const { message } = answer;
  return message.length === 2 && message[0] === 0x08 && message[1] === 1 ? 'live' : 'ending';
}
