/** The calls that ask about the server as a whole. */

import type * as pb from '../../../proto/messages.js';
import type { UnaryHandler } from './call.js';
import type { Serving } from './serving.js';

/** Triton's names for the extensions that are served here. Shared memory is not among them. */
const EXTENSIONS: readonly string[] = [
  'classification',
  'sequence',
  'model_repository',
  'schedule_policy',
  'model_configuration',
  'parameters',
  'statistics',
  'trace',
  'logging',
];

/** ServerLive: true as soon as the process answers. */
export const serverLive: UnaryHandler<pb.ServerLiveRequest, pb.ServerLiveResponse> = (
  _request,
  _call,
  reply,
) => reply(undefined, { live: true });

/** ServerReady: true while the server as a whole is SERVING. */
export function serverReady({
  health,
}: Serving): UnaryHandler<pb.ServerReadyRequest, pb.ServerReadyResponse> {
  return (_request, _call, reply) => reply(undefined, { ready: health.get('') === 'SERVING' });
}

/** ServerMetadata: name, version, and the extensions that are served. */
export function serverMetadata({
  version,
}: Serving): UnaryHandler<pb.ServerMetadataRequest, pb.ServerMetadataResponse> {
  return (_request, _call, reply) =>
    reply(undefined, { name: 'outrider', version, extensions: [...EXTENSIONS] });
}
