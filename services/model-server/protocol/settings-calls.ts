/** Settings that can be read but not changed here, and the calls of extensions that are not served. */

import type * as pb from '../../../proto/messages.js';
import { RpcError, status } from '../rpc.js';
import type { UnaryHandler } from './call.js';

/**
 * TraceSetting: tracing is off here; the sidecar traces. The settings are the same for every model, so that `model_name` is not
 * looked up: beside a sidecar a model may be served by another process. A request that sets something is UNIMPLEMENTED.
 */
export const traceSetting: UnaryHandler<pb.TraceSettingRequest, pb.TraceSettingResponse> = (
  { settings },
  _call,
  reply,
) => {
  requireNothingSet(settings, 'tracing is the work of the sidecar');
  reply(undefined, { settings: { trace_level: { value: ['OFF'] }, trace_rate: { value: ['0'] } } });
};

/** LogSettings: what is logged here is fixed. A request that sets something is UNIMPLEMENTED. */
export const logSettings: UnaryHandler<pb.LogSettingsRequest, pb.LogSettingsResponse> = (
  { settings },
  _call,
  reply,
) => {
  requireNothingSet(settings, 'what a model server logs is fixed');
  reply(undefined, {
    settings: {
      log_info: { bool_param: true },
      log_warning: { bool_param: true },
      log_error: { bool_param: true },
      log_verbose_level: { uint32_param: 0 },
      log_format: { string_param: 'default' },
    },
  });
};

function requireNothingSet(settings: Readonly<Record<string, unknown>> | undefined, why: string): void {
  const [first] = Object.keys(settings ?? {});
  if (first === undefined) return;
  throw new RpcError(
    status.UNIMPLEMENTED,
    `found setting '${first.slice(0, 100)}', which cannot be changed (${why}); expected no settings`,
  );
}

/** SystemSharedMemoryStatus and CudaSharedMemoryStatus: no region is ever registered. */
export function sharedMemoryStatus(
  kind: string,
): UnaryHandler<pb.SharedMemoryRequest, pb.SharedMemoryResponse> {
  return ({ name }, _call, reply) => {
    if (name)
      throw new RpcError(
        status.NOT_FOUND,
        `Unable to find ${kind} shared memory region: '${name.slice(0, 100)}'`,
      );
    reply(undefined, {});
  };
}

/** The other calls of the shared memory extensions: UNIMPLEMENTED. To end all registrations is a success: there are none. */
export function sharedMemory(
  kind: string,
  action: 'register' | 'unregister',
): UnaryHandler<pb.SharedMemoryRequest, pb.SharedMemoryResponse> {
  return ({ name }, _call, reply) => {
    if (action === 'unregister' && !name) return reply(undefined, {});
    throw new RpcError(
      status.UNIMPLEMENTED,
      `${kind} shared memory is not served: a caller may be on another machine; expected tensors in the request`,
    );
  };
}
