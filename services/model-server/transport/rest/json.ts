/** JSON of untrusted callers. */

import { invalidArgument, messageOf } from '../../rpc.js';

/** Nesting beyond which no request of the protocol goes: tensors have at most 16 dimensions, and lie four levels deep. */
export const MAX_DEPTH = 64;
/** Objects and members of objects in one text. A request has a few for each tensor, and its values are in lists. */
export const MAX_MEMBERS = 100_000;
/** Lists in one text: rows of a tensor. A larger one comes as a flat list or as binary data. */
export const MAX_LISTS = 1_000_000;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** What a byte outside of a text is; 0: nothing that counts. */
const Kind = { quote: 1, member: 2, objectStart: 3, listStart: 4, end: 5 } as const;
const KINDS = new Uint8Array(256);
for (const [characters, kind] of [
  ['"', Kind.quote],
  [':', Kind.member],
  ['{', Kind.objectStart],
  ['[', Kind.listStart],
  [']}', Kind.end],
] as const)
  for (const character of characters) KINDS[character.charCodeAt(0)] = kind;

/**
 * The value of a JSON text. It is counted before it is parsed, in one pass over its bytes: a parser spends up to fifty times
 * the memory of the text on lists in lists and on empty objects, and minutes on very deep ones.
 *
 * @throws RpcError INVALID_ARGUMENT for what is no JSON, and for a text beyond one of the limits, which it names.
 */
export function parseJson(bytes: Buffer): unknown {
  requireModest(bytes);
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw invalidArgument(`request: found ${bytes.length} bytes that are no JSON (${messageOf(error)})`);
  }
}

function requireModest(bytes: Uint8Array): void {
  let depth = 0;
  let members = 0;
  let lists = 0;
  for (let at = 0; at < bytes.length; at++) {
    const kind = KINDS[bytes[at]!]!;
    if (kind === 0) continue;
    if (kind === Kind.quote) {
      at = endOfText(bytes, at);
      continue;
    }
    if (kind === Kind.end) {
      depth--;
      continue;
    }
    if (kind === Kind.listStart) lists++;
    else members++;
    if (kind !== Kind.member) depth++;
    if (depth > MAX_DEPTH) throw tooMany('levels of nesting', MAX_DEPTH);
    if (members > MAX_MEMBERS) throw tooMany('objects and members', MAX_MEMBERS);
    if (lists > MAX_LISTS) throw tooMany('lists', MAX_LISTS);
  }
}

/** Where the text that begins at `at` ends; the length of `bytes` where it does not. */
function endOfText(bytes: Uint8Array, at: number): number {
  for (let i = at + 1; i < bytes.length; i++) {
    if (bytes[i] === QUOTE) return i;
    if (bytes[i] === BACKSLASH) i++;
  }
  return bytes.length;
}

function tooMany(what: string, limit: number): Error {
  return invalidArgument(`request: found JSON with more than ${limit} ${what}, expected at most so many`);
}
