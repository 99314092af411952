/** What calls of the drills share: a channel without resilience of its own, and the sidecar's reason for a failure. */

import type { ChannelOptions, Metadata } from '@grpc/grpc-js';

/** No retries, and no connection shared with other clients of this process. */
export const LOCAL_CHANNEL: ChannelOptions = {
  'grpc.enable_retries': 0,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 200,
};

/** As it comes, but for a connection of its own. */
export const STOCK_CHANNEL: ChannelOptions = { 'grpc.use_local_subchannel_pool': 1 };

/** The sidecar's reason for an answer of its own; `without a reason`: it came from elsewhere. */
export function reasonOf(metadata: Metadata | undefined): string {
  const [reason] = metadata?.get('outrider-reason') ?? [];
  return reason === undefined ? 'without a reason' : String(reason);
}
