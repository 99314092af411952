/** grpc.health.v1. */

import type * as pb from '../../../proto/messages.js';
import { RpcError, status } from '../rpc.js';
import type { StreamHandler, UnaryHandler } from './call.js';
import type { Serving } from './serving.js';

/** Check: the state of the server (empty name) or of a model. NOT_FOUND for an unknown name. */
export function healthCheck({
  health,
}: Serving): UnaryHandler<pb.HealthCheckRequest, pb.HealthCheckResponse> {
  return ({ service }, _call, reply) => {
    const found = health.get(service ?? '');
    if (found === undefined) throw new RpcError(status.NOT_FOUND, `unknown service '${service}'`);
    reply(undefined, { status: found });
  };
}

/** A Watch lasts until its caller ends it, or until `stopping` says that the server does. */
export function healthWatch(
  { health }: Serving,
  stopping: (end: () => void) => () => void,
): StreamHandler<pb.HealthCheckRequest, pb.HealthCheckResponse> {
  return (call) => ({
    request: ({ service }) => {
      const unwatch = health.watch(service ?? '', (state) => call.write({ status: state }));
      const forget = stopping(() => {
        unwatch();
        call.end(new RpcError(status.UNAVAILABLE, 'the server is stopping'));
      });
      call.onCancelled(() => {
        unwatch();
        forget();
      });
    },
    end: () => undefined,
  });
}
