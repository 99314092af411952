/** The calls of Triton's model repository extension. */

import type * as pb from '../../../proto/messages.js';
import { invalidArgument, RpcError, status } from '../rpc.js';
import type { UnaryHandler } from './call.js';
import { toRpcError } from './decode.js';
import type { ControlMode, Serving } from './serving.js';

const STATES = { loading: 'LOADING', ready: 'READY', unloading: 'UNLOADING', failed: 'UNAVAILABLE' } as const;

/** RepositoryIndex: every model with its state, and the reason where it is not ready. */
export function repositoryIndex(
  serving: Serving,
): UnaryHandler<pb.RepositoryIndexRequest, pb.RepositoryIndexResponse> {
  return ({ ready, repository_name }, _call, reply) => {
    requireNoRepository(repository_name);
    const served = serving.models.all().map((model) => {
      return { name: model.name, version: model.version, state: STATES[model.state], reason: model.why };
    });
    const unserved = serving.repository.unserved().map((found) => ({ ...found, state: 'UNAVAILABLE' }));
    const models = [...served, ...unserved].filter((model) => !ready || model.state === 'READY');
    reply(undefined, { models });
  };
}

/** RepositoryModelLoad: answered when the model is ready. One that is served goes on while its successor loads. */
export function repositoryModelLoad({
  repository,
  control,
}: Serving): UnaryHandler<pb.RepositoryModelLoadRequest, pb.RepositoryModelResponse> {
  return (request, _call, reply) => {
    requireExplicit(control);
    requireServed(request);
    void repository.load(request.model_name).then(
      () => reply(undefined, {}),
      (error: unknown) => reply(toRpcError(error)),
    );
  };
}

/** RepositoryModelUnload: answered when calls in flight have finished. */
export function repositoryModelUnload({
  repository,
  control,
}: Serving): UnaryHandler<pb.RepositoryModelUnloadRequest, pb.RepositoryModelResponse> {
  return (request, _call, reply) => {
    requireExplicit(control);
    requireServed(request);
    void repository.unload(request.model_name).then(
      () => reply(undefined, {}),
      (error: unknown) => reply(toRpcError(error)),
    );
  };
}

/** Triton's words. Its code, UNAVAILABLE, would be tried again, and would count against a replica that is well. */
function requireExplicit(control: ControlMode): void {
  if (control === 'explicit') return;
  throw new RpcError(
    status.FAILED_PRECONDITION,
    `explicit model load / unload is not allowed: found --control ${control}, expected --control explicit`,
  );
}

function requireServed({ repository_name, model_name, parameters }: pb.RepositoryModelLoadRequest): void {
  requireNoRepository(repository_name);
  if (model_name === '') throw invalidArgument('model_name: found none, expected the name of a model');
  // Absent is what a client sends for false.
  const names = Object.keys(parameters ?? {}).filter(
    (name) => name !== 'unload_dependents' || parameters![name]!.bool_param !== false,
  );
  if (names.length === 0) return;
  throw new RpcError(
    status.UNIMPLEMENTED,
    `found parameter '${names[0]!.slice(0, 100)}', which is not served: a model is what its directory holds; expected none`,
  );
}

function requireNoRepository(name: string | undefined): void {
  if (name)
    throw new RpcError(
      status.UNIMPLEMENTED,
      `found repository_name '${name.slice(0, 100)}', which is not served: there is one repository; expected none`,
    );
}
