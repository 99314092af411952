import type { HeaderField } from './hpack/field.js';
import type { HeaderBlock, StableList } from './hpack/header-list.js';
import { Token } from './hpack/tokens.js';

/**
 * What a header list says, and whether it is well-formed (RFC 9113 sections 8.2 and 8.3). Strings are empty, numbers −1, when
 * the field is absent. Computed once per stable list and memoised on it, then completed with the fields that vary.
 */
export class HeaderView {
  method = '';
  scheme = '';
  authority = '';
  /** `:authority` is present, perhaps empty. */
  hasAuthority = false;
  path = '';
  status = -1;
  contentType = '';
  grpcStatus = -1;
  /** Malformed as a request, a response and trailers alike. */
  malformed = false;
  /** Pseudo-headers of requests, and of responses. */
  requestPseudo = 0;
  responsePseudo = 0;

  isRequest(): boolean {
    if (this.malformed || this.responsePseudo !== 0) return false;
    if (this.method === 'CONNECT') return this.scheme === '' && this.path === '' && this.authority !== '';
    return this.method !== '' && this.scheme !== '' && this.path !== '';
  }

  isResponse(): boolean {
    return !this.malformed && this.requestPseudo === 0 && this.responsePseudo === 1 && this.status >= 100;
  }

  isTrailers(): boolean {
    return !this.malformed && this.requestPseudo === 0 && this.responsePseudo === 0;
  }

  /** gRPC over HTTP/2: content-type `application/grpc`, alone or followed by `+` or `;`. */
  isGrpc = false;
  /** Of the fields that repeat, one of binary metadata is not one value in base64. */
  hasOddBinary = false;
}

function isGrpcType(type: string): boolean {
  if (!type.startsWith('application/grpc')) return false;
  const next = type.charCodeAt(16);
  return Number.isNaN(next) || next === 0x2b || next === 0x3b;
}

/** View of a whole block, memoised on it. Most blocks have that of their stable part. */
export function headerViewOf(block: HeaderBlock): HeaderView {
  if (block.view === null) block.view = makeView(block);
  return block.view as HeaderView;
}

function makeView(block: HeaderBlock): HeaderView {
  const stable = viewOfStable(block.stable);
  if (block.misordered) return completeView(stable, block);
  const { extras } = block;
  let lengths = 0;
  for (let i = 0; i < extras.length; i++) {
    const field = extras[i]!;
    if (field.token === Token.contentLength) lengths++;
    if (changesView(field) || lengths > 1) return completeView(stable, block);
  }
  return stable;
}

/** `content-length`, bytes; −1 when absent. Not in the view, because it differs from call to call. */
export function contentLengthOf(block: HeaderBlock): number {
  const { extras } = block;
  for (let i = 0; i < extras.length; i++)
    if (extras[i]!.token === Token.contentLength) return Number(extras[i]!.value);
  return -1;
}

/** Whether a varying field changes the view of the stable part: nearly never. */
function changesView(field: HeaderField): boolean {
  if (field.error !== 0) return true;
  switch (field.token) {
    case Token.contentLength:
      return !LENGTH.test(field.value);
    case Token.authority:
    case Token.method:
    case Token.path:
    case Token.scheme:
    case Token.status:
    case Token.grpcStatus:
    case Token.contentType:
      return true;
    default:
      return false;
  }
}

const LENGTH = /^[0-9]{1,15}$/;

function completeView(stable: HeaderView, block: HeaderBlock): HeaderView {
  const view = Object.assign(new HeaderView(), stable);
  if (block.misordered) view.malformed = true;
  let length = '';
  for (const field of block.extras) {
    add(view, field);
    if (field.token !== Token.contentLength) continue;
    if (length !== '' && length !== field.value) view.malformed = true;
    length = field.value;
  }
  return view;
}

function viewOfStable(list: StableList): HeaderView {
  if (list.view !== null) return list.view as HeaderView;
  const view = new HeaderView();
  for (const field of list.toFields()) add(view, field);
  list.view = view;
  return view;
}

function add(view: HeaderView, field: HeaderField): void {
  if (field.error !== 0) view.malformed = true;
  if (isOddBinary(field)) view.hasOddBinary = true;
  switch (field.token) {
    case Token.method:
      view.method = once(view, view.method, field.value);
      break;
    case Token.scheme:
      view.scheme = once(view, view.scheme, field.value);
      break;
    case Token.path:
      view.path = once(view, view.path, field.value);
      break;
    case Token.authority:
      if (view.hasAuthority) view.malformed = true;
      view.hasAuthority = true;
      view.authority = field.value;
      view.requestPseudo++;
      break;
    case Token.status:
      view.responsePseudo++;
      view.status = /^[1-9][0-9][0-9]$/.test(field.value) ? Number(field.value) : -1;
      if (view.responsePseudo > 1 || view.status < 0) view.malformed = true;
      break;
    case Token.contentType:
      view.contentType = field.value;
      view.isGrpc = isGrpcType(field.value);
      break;
    case Token.contentLength:
      if (!LENGTH.test(field.value)) view.malformed = true;
      break;
    case Token.grpcStatus:
      view.grpcStatus = /^[0-9]{1,3}$/.test(field.value) ? Number(field.value) : 2;
      break;
  }
}

/** Binary metadata that is no value in base64, or several (gRPC over HTTP/2, "Binary-Header"). */
export function isOddBinary(field: HeaderField): boolean {
  return field.info.isBinary && !isBase64(field.value);
}

/** Whether a value is what an encoder makes, with or without padding. */
export function isBase64(value: string): boolean {
  const whole = Buffer.from(value, 'base64').toString('base64');
  return value === whole || (whole.endsWith('=') && value === whole.slice(0, whole.indexOf('=')));
}

/** A pseudo-header of requests: malformed when it is repeated or empty. */
function once(view: HeaderView, before: string, value: string): string {
  if (before !== '' || value === '') view.malformed = true;
  view.requestPseudo++;
  return value;
}

/** The value of a varying field, or undefined. */
export function extraValue(block: HeaderBlock, token: number): string | undefined {
  for (const field of block.extras) if (field.token === token) return field.value;
  return undefined;
}

/** The first value of any field by its token; undefined when absent. Walks the whole list. */
export function fieldValue(block: HeaderBlock, token: number): string | undefined {
  const extra = extraValue(block, token);
  if (extra !== undefined) return extra;
  for (const field of block.stable.toFields()) if (field.token === token) return field.value;
  return undefined;
}

/** The first value of any field by its name; undefined when absent. For routing by metadata: walks the whole list. */
export function metadataValue(block: HeaderBlock, name: string): string | undefined {
  for (const field of block.extras) if (field.name === name) return field.value;
  for (const field of block.stable.toFields()) if (field.name === name) return field.value;
  return undefined;
}
