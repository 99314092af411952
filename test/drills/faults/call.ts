/** What calls of the drills share: a channel without resilience of its own, and the sidecar's reason for a failure. */

import {
  type ChannelOptions,
  Client,
  type ClientUnaryCall,
  credentials,
  Metadata,
  type requestCallback,
} from '@grpc/grpc-js';
import type { Method } from '../../../proto/load.js';
import { reasonIn } from '../../../sidecar/cli/chaos/load/noted-call.js';

/** No retries, and no connection shared with other clients of this process. */
export const LOCAL_CHANNEL: ChannelOptions = {
  'grpc.enable_retries': 0,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 200,
};

/** As it comes, but for a connection of its own. */
export const STOCK_CHANNEL: ChannelOptions = { 'grpc.use_local_subchannel_pool': 1 };

/** Default: without any resilience. */
export function clientOf(target: string, channel = LOCAL_CHANNEL): Client {
  return new Client(target, credentials.createInsecure(), channel);
}

/** What one unary call says. */
export interface UnaryCall<Request> {
  readonly request: Request;
  readonly deadlineMs: number;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Makes one unary call of a method. */
export function callUnary<Request, Response>(
  client: Client,
  { path, requestSerialize, responseDeserialize }: Method<Request, Response>,
  { request, deadlineMs, metadata = {} }: UnaryCall<Request>,
  done: requestCallback<Response>,
): ClientUnaryCall {
  const said = new Metadata();
  for (const [key, value] of Object.entries(metadata)) said.set(key, value);
  const options = { deadline: Date.now() + deadlineMs };
  return client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, said, options, done);
}

/** The sidecar's reason for an answer of its own; `without a reason`: it came from elsewhere. */
export function reasonOf(metadata: Metadata | undefined): string {
  return reasonIn(metadata) ?? 'without a reason';
}
