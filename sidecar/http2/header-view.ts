/**
 * What a header list says and whether it may say so (RFC 9113 section 8.2 and 8.3): computed once per stable list
 * and memoised there, then completed with the few fields that vary from call to call.
 */

import type { HeaderField } from './hpack/field.js';
import type { HeaderBlock, StableList } from './hpack/header-list.js';
import { Token } from './hpack/tokens.js';

/** Facts of one list of fields. Strings are empty, numbers -1, when the field is absent. */
export class HeaderView {
  method = '';
  scheme = '';
  authority = '';
  /** `:authority` was there, perhaps empty. */
  hasAuthority = false;
  path = '';
  status = -1;
  contentType = '';
  grpcStatus = -1;
  /** Malformed whatever the list is used for. */
  malformed = false;
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
}

function isGrpcType(type: string): boolean {
  if (!type.startsWith('application/grpc')) return false;
  const next = type.charCodeAt(16);
  return Number.isNaN(next) || next === 0x2b || next === 0x3b;
}

/** Facts of the whole block; those of its stable part alone are memoised on it. */
export function headerViewOf(block: HeaderBlock): HeaderView {
  const stable = stableFacts(block.stable);
  if (block.misordered) return completeFacts(stable, block);
  const { extras } = block;
  let lengths = 0;
  for (let i = 0; i < extras.length; i++) {
    const field = extras[i]!;
    if (field.token === Token.contentLength) lengths++;
    if (saysMore(field) || lengths > 1) return completeFacts(stable, block);
  }
  return stable;
}

/** The body's announced length; −1 when there is none. Kept out of `Facts`, because it differs from call to call. */
export function contentLengthOf(block: HeaderBlock): number {
  const { extras } = block;
  for (let i = 0; i < extras.length; i++) {
    if (extras[i]!.token === Token.contentLength) return Number(extras[i]!.value);
  }
  return -1;
}

/** Whether a varying field changes what the stable part says: nearly never. */
function saysMore(field: HeaderField): boolean {
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

function completeFacts(stable: HeaderView, block: HeaderBlock): HeaderView {
  const facts = Object.assign(new HeaderView(), stable);
  if (block.misordered) facts.malformed = true;
  let length = '';
  for (const field of block.extras) {
    add(facts, field);
    if (field.token !== Token.contentLength) continue;
    if (length !== '' && length !== field.value) facts.malformed = true;
    length = field.value;
  }
  return facts;
}

function stableFacts(list: StableList): HeaderView {
  if (list.view !== null) return list.view as HeaderView;
  const facts = new HeaderView();
  for (const field of list.toFields()) add(facts, field);
  list.view = facts;
  return facts;
}

function add(facts: HeaderView, field: HeaderField): void {
  if (field.error !== 0) facts.malformed = true;
  switch (field.token) {
    case Token.method:
      if (facts.method !== '' || field.value === '') facts.malformed = true;
      facts.method = field.value;
      facts.requestPseudo++;
      break;
    case Token.scheme:
      if (facts.scheme !== '' || field.value === '') facts.malformed = true;
      facts.scheme = field.value;
      facts.requestPseudo++;
      break;
    case Token.path:
      if (facts.path !== '' || field.value === '') facts.malformed = true;
      facts.path = field.value;
      facts.requestPseudo++;
      break;
    case Token.authority:
      if (facts.hasAuthority) facts.malformed = true;
      facts.hasAuthority = true;
      facts.authority = field.value;
      facts.requestPseudo++;
      break;
    case Token.status:
      facts.responsePseudo++;
      facts.status = /^[1-9][0-9][0-9]$/.test(field.value) ? Number(field.value) : -1;
      if (facts.responsePseudo > 1 || facts.status < 0) facts.malformed = true;
      break;
    case Token.contentType:
      facts.contentType = field.value;
      facts.isGrpc = isGrpcType(field.value);
      break;
    case Token.contentLength:
      if (!LENGTH.test(field.value)) facts.malformed = true;
      break;
    case Token.grpcStatus:
      facts.grpcStatus = /^[0-9]{1,3}$/.test(field.value) ? Number(field.value) : 2;
      break;
  }
}

/** The value of a varying field, or undefined. */
export function extraValue(block: HeaderBlock, token: number): string | undefined {
  for (const field of block.extras) if (field.token === token) return field.value;
  return undefined;
}

/** The value of any field by its name, in a block; for routing by metadata. */
export function metadataValue(block: HeaderBlock, name: string): string | undefined {
  for (const field of block.extras) if (field.name === name) return field.value;
  for (const field of block.stable.toFields()) if (field.name === name) return field.value;
  return undefined;
}
