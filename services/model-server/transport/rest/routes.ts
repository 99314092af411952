/** The paths of the REST half of the protocol, and the method that each stands for. */

import { invalidArgument } from '../../rpc.js';

/** A request by its path: the method of the protocol, and the model that the path names. */
export interface Route {
  readonly method: RestMethod;
  readonly model: string;
  readonly version: string;
}

/** What can be asked. */
export type RestMethod =
  | 'ServerLive'
  | 'ServerReady'
  | 'ServerMetadata'
  | 'ModelReady'
  | 'ModelMetadata'
  | 'ModelConfig'
  | 'ModelStatistics'
  | 'ModelInfer'
  | 'RepositoryIndex'
  | 'RepositoryModelLoad'
  | 'RepositoryModelUnload';

const FIXED: Readonly<Record<string, RestMethod>> = {
  'GET /v2': 'ServerMetadata',
  'GET /v2/health/live': 'ServerLive',
  'GET /v2/health/ready': 'ServerReady',
  'GET /v2/models/stats': 'ModelStatistics',
  'POST /v2/repository/index': 'RepositoryIndex',
};

const OF_MODEL: Readonly<Record<string, RestMethod>> = {
  'GET ': 'ModelMetadata',
  'GET ready': 'ModelReady',
  'GET config': 'ModelConfig',
  'GET stats': 'ModelStatistics',
  'POST infer': 'ModelInfer',
};

const OF_REPOSITORY: Readonly<Record<string, RestMethod>> = {
  'POST load': 'RepositoryModelLoad',
  'POST unload': 'RepositoryModelUnload',
};

/** undefined: there is no such path, or not with this verb. Throws INVALID_ARGUMENT for a name that is no percent-encoded text. */
export function routeOf(verb: string, path: string): Route | undefined {
  const plain = withoutTrailingSlashes(path);
  const fixed = FIXED[`${verb} ${plain}`];
  if (fixed !== undefined) return { method: fixed, model: '', version: '' };
  const inRepository = /^\/v2\/repository\/models\/([^/]+)\/(load|unload)$/.exec(plain);
  if (inRepository !== null) {
    const method = OF_REPOSITORY[`${verb} ${inRepository[2]}`];
    return method && { method, model: decoded(inRepository[1]!), version: '' };
  }
  const ofModel = /^\/v2\/models\/([^/]+)(?:\/versions\/([^/]+))?(?:\/([a-z]+))?$/.exec(plain);
  if (ofModel === null) return undefined;
  const [, model, version = '', action = ''] = ofModel;
  const method = OF_MODEL[`${verb} ${action}`];
  return method && { method, model: decoded(model!), version: decoded(version) };
}

/** An expression for it (`/\/+$/`) would begin anew at each slash of a long run in the middle: quadratic. */
function withoutTrailingSlashes(path: string): string {
  let end = path.length;
  while (end > 0 && path[end - 1] === '/') end--;
  return path.slice(0, end);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalidArgument(`path: found '${text.slice(0, 100)}', expected percent-encoded text`);
  }
}
