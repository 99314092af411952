/** Lists and watches of the Kubernetes API, as it writes them in JSON. */

import { type EndpointSlice, readSlice } from './endpoint-slices.js';

/** A page of a list of EndpointSlices. */
export interface SlicePage {
  readonly slices: readonly EndpointSlice[];
  /** Of the list: a watch goes on from there. */
  readonly revision: string;
  /** Asks for the next page; empty: this is the last one. */
  readonly next: string;
  /** Why items are left out; undefined: none is. */
  readonly problem: string | undefined;
}

/** One line of a watch. `expired`: its revision is too old, and only a new list tells what there is (HTTP 410). */
export type WatchEvent =
  | { readonly kind: 'put'; readonly slice: EndpointSlice; readonly revision: string }
  | { readonly kind: 'delete'; readonly name: string; readonly revision: string }
  | { readonly kind: 'bookmark'; readonly revision: string }
  | { readonly kind: 'expired'; readonly why: string }
  | { readonly kind: 'failed'; readonly why: string };

const GONE = 410;
const MAX_TOLD = 300;

/** @throws Error where the text is no list. */
export function readPage(text: string): SlicePage {
  const body: unknown = JSON.parse(text);
  const { metadata, items } = fieldsOf(body);
  const { resourceVersion, continue: next } = fieldsOf(metadata);
  if (typeof resourceVersion !== 'string' || resourceVersion === '')
    throw new Error('found a list without resourceVersion');
  const slices: EndpointSlice[] = [];
  let problem: string | undefined;
  // An empty list may be written as null.
  for (const item of Array.isArray(items) ? items : []) {
    const slice = readSlice(item);
    if (typeof slice === 'string') problem ??= slice;
    else slices.push(slice);
  }
  return { slices, revision: resourceVersion, next: typeof next === 'string' ? next : '', problem };
}

/** One line of a watch. What makes no sense is `failed`: something was missed then, and a list says what. */
export function readEvent(line: string): WatchEvent {
  let event: unknown;
  try {
    event = JSON.parse(line);
  } catch {
    return { kind: 'failed', why: 'found a line of a watch that is not JSON' };
  }
  const { type, object } = fieldsOf(event);
  if (type === 'ERROR') {
    const why = statusText(object);
    return { kind: fieldsOf(object)['code'] === GONE ? 'expired' : 'failed', why };
  }
  const { name, resourceVersion: revision } = fieldsOf(fieldsOf(object)['metadata']);
  if (typeof revision !== 'string' || revision === '')
    return { kind: 'failed', why: 'found an event without resourceVersion' };
  if (type === 'BOOKMARK') return { kind: 'bookmark', revision };
  if (type === 'DELETED') return { kind: 'delete', name: String(name), revision };
  if (type !== 'ADDED' && type !== 'MODIFIED')
    return { kind: 'failed', why: `found an event of the type ${JSON.stringify(type)?.slice(0, 40)}` };
  const slice = readSlice(object);
  return typeof slice === 'string' ? { kind: 'failed', why: slice } : { kind: 'put', slice, revision };
}

/** What a Service is, so far as it says why there are no slices. */
export function readService(text: string): { readonly type: string; readonly hasSelector: boolean } {
  const { spec } = fieldsOf(JSON.parse(text) as unknown);
  const { type, selector } = fieldsOf(spec);
  const hasSelector = Object.keys(fieldsOf(selector)).length > 0;
  return { type: typeof type === 'string' ? type : 'ClusterIP', hasSelector };
}

/** The message of a `Status`, on one line; of another text its begin. */
export function statusMessage(body: string): string {
  try {
    return statusText(JSON.parse(body) as unknown);
  } catch {
    return oneLine(body);
  }
}

function statusText(status: unknown): string {
  const { message, reason, code } = fieldsOf(status);
  return oneLine(String(message ?? reason ?? code ?? 'without a reason'));
}

/** Printable, and short. */
function oneLine(text: string): string {
  return text
    .slice(0, 2 * MAX_TOLD)
    .trim()
    .replace(/\s+/g, ' ')
    .replace(/[^\x20-\x7e]/g, '?')
    .slice(0, MAX_TOLD);
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}
