import type { KubernetesConfig } from '../../config/model.js';
import type { EndpointSlice } from '../../core/discovery/endpoint-slices.js';
import { readPage, statusMessage } from '../../core/discovery/watch-event.js';
import { messageOf } from '../../runtime/log/message-of.js';
import type { ApiRequest, KubernetesApi } from './api-client.js';
import { type ReadDeps, type Reply, readBody } from './api-reads.js';

/** Slices of a page: 5,000 endpoints, about 2 MB. */
export const PAGE_SLICES = 50;
const MAX_PAGE_BYTES = 16 * 1024 * 1024;
/** A server that always names a next page would be asked without end. */
export const MAX_PAGES = 200;
/** Slices of a Service that are kept, 100 pods in each: more than a cluster has pods (150,000). */
export const MAX_SLICES = 4_000;
/** Why no more are taken: a part of them would look as if the others were gone. */
export const TOO_MANY_SLICES = `found more than ${MAX_SLICES} EndpointSlices of one Service; expected fewer`;
const OK = 200;
const UNAUTHORIZED = 401;
const FORBIDDEN = 403;
const NOT_FOUND = 404;

/** A Service by its name. */
export interface ServicePlace {
  readonly namespace: string;
  readonly name: string;
}

/** All slices of a Service at one time. */
export interface SliceList {
  readonly slices: Map<string, EndpointSlice>;
  /** A watch goes on from there. */
  readonly revision: string;
  /** Why slices are left out; undefined: none is. */
  readonly problem: string | undefined;
}

/** @throws Error where the namespace is not known. */
export function placeOf(api: KubernetesApi, { service }: KubernetesConfig): ServicePlace {
  const [name = '', namespace = api.ownNamespace()] = service.split('.');
  return { namespace, name };
}

/** The path of the slices of a Service. */
export function slicesPath({ namespace, name }: ServicePlace, query: string): string {
  const selector = encodeURIComponent(`kubernetes.io/service-name=${name}`);
  return `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices?labelSelector=${selector}&${query}`;
}

/**
 * Lists the slices of a Service, page by page. @param done called once, with the list or with the response in its place; never within
 * this call, nor after it was cancelled. @throws Error where a setting is missing.
 */
export function listSlices(
  deps: ReadDeps,
  config: KubernetesConfig,
  done: (result: SliceList | Reply) => void,
): ApiRequest {
  const slices = new Map<string, EndpointSlice>();
  let leftOut: string | undefined;
  let pages = 0;
  const ask = (from: string): ApiRequest => {
    const more = from === '' ? '' : `&continue=${encodeURIComponent(from)}`;
    const path = slicesPath(placeOf(deps.api, config), `limit=${PAGE_SLICES}${more}`);
    return readBody(deps, config, { path, maxBytes: MAX_PAGE_BYTES }, (reply) => {
      if (reply.status !== OK) return done(reply);
      try {
        const { slices: found, revision, next, problem } = readPage(reply.body);
        for (const slice of found) slices.set(slice.name, slice);
        leftOut ??= problem;
        pages += 1;
        if (slices.size > MAX_SLICES) throw new Error(TOO_MANY_SLICES);
        if (next === '') return done({ slices, revision, problem: leftOut });
        if (pages >= MAX_PAGES) throw new Error(`found more than ${MAX_PAGES} pages; expected fewer`);
        request = ask(next);
      } catch (error) {
        const body = `the list cannot be read: ${messageOf(error)}`;
        done({ status: 0, body, retryAfter: undefined });
      }
    });
  };
  let request = ask('');
  return { cancel: () => request.cancel() };
}

/** What a response other than 200 means, and what to do. */
export function refusal({ status, body }: Pick<Reply, 'status' | 'body'>): string {
  if (status === 0) return body;
  const said = `${status} ${statusMessage(body)}`.trim();
  if (status === UNAUTHORIZED) return `${said}: the token of the service account is not accepted`;
  if (status === FORBIDDEN)
    return `${said}: expected a Role that lets the service account get, list and watch endpointslices`;
  if (status === NOT_FOUND) return `${said}: expected the API discovery.k8s.io/v1, of Kubernetes 1.21`;
  return said;
}
