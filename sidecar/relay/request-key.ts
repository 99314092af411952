/**
 * What a request is known by: its method, the metadata that matters and every octet of it. Small requests are compared
 * octet by octet, and the hash only finds them; of large ones, and of credentials, a digest that cannot be forged stands for them:
 * whoever found two requests with the same key would be given the answer to the other one.
 */

import * as crypto from 'node:crypto';
import { factsOf } from '../http2/facts.js';
import type { HeaderBlock, StableList } from '../http2/hpack/header-list.js';
import { mix, OctetHash } from '../http2/words.js';
import type { Pieces } from './pieces.js';

/** A call, as far as its request goes. */
export interface Asked {
  /** The headers as they came. */
  readonly original: HeaderBlock;
  /** All of the body. */
  readonly kept: Pieces | null;
}

/** Requests up to this size are kept whole. */
export const WHOLE_BYTES = 4096;

/**
 * Metadata that an answer may depend on beside the request: who asks, and how octets are coded. Other metadata says
 * nothing about it.
 */
function matters(name: string): boolean {
  // Lengths first: nearly all that is asked about here varies from call to call, and is none of them.
  if (name.length === 13) return name === 'authorization' || name === 'grpc-encoding';
  return name.length === 20 && name === 'grpc-accept-encoding';
}

/** One request at a time: made once and read into, for it is asked for at every call. */
export class RequestKey {
  /** All of it that is not in `body`. */
  text = '';
  /** Compared octet by octet; null: there is none, or `text` stands for it. */
  body: Pieces | null = null;
  hash = 0;
  /** What was last made of a list of headers: most calls in a row have the same one. */
  private lastList: StableList | null = null;
  private lastText = '';
  private lastHash = 0;

  read({ original, kept }: Asked): void {
    if (original.stable !== this.lastList) this.readList(original);
    this.text = this.lastText;
    this.hash = this.lastHash;
    const more = metadataIn(original.extras);
    if (more !== '') this.append(more);
    this.body = kept;
    if (kept === null) return;
    if (kept.bytes <= WHOLE_BYTES) {
      this.hash = hashOfPieces(kept, this.hash);
      return;
    }
    this.body = null;
    this.append(digestOf(kept));
  }

  private readList(block: HeaderBlock): void {
    this.lastText = factsOf(block).path + metadataIn(block.stable.toFields());
    this.lastHash = hashOfText(this.lastText, 0);
    // A path among the extras is not the list's.
    this.lastList = factsOf(block).path === pathIn(block.stable) ? block.stable : null;
  }

  private append(text: string): void {
    this.text += `\0${text}`;
    this.hash = hashOfText(text, this.hash);
  }
}

function pathIn(list: StableList): string {
  for (const { name, value } of list.toFields()) if (name === ':path') return value;
  return '';
}

/** What of these fields matters; a NUL, which no field holds, stands between any two. */
function metadataIn(fields: HeaderBlock['extras']): string {
  let text = '';
  for (const field of fields) {
    const { name } = field;
    if (matters(name)) text += `\0${name}\0${name === 'authorization' ? sha256(field.value) : field.value}`;
  }
  return text;
}

/** 32 octets, one char each. */
function sha256(text: string): string {
  return crypto.createHash('sha256').update(text, 'latin1').digest('binary');
}

/** Of this process only, and told nobody, as are the digests: without it none can be foreseen. */
const SECRET = crypto.randomBytes(16);
/** Always the same, as digests must be. That is forbidden where they can be seen, for they would give the secret away. */
const NONCE = Buffer.alloc(12);

/**
 * GMAC (NIST SP 800-38D): a universal hash with a secret, so that nobody can make up two requests with one digest, at a
 * quarter of what SHA-256 costs for an image.
 */
function digestOf(pieces: Pieces): string {
  const mac = crypto.createCipheriv('aes-128-gcm', SECRET, NONCE);
  for (let i = 0; i < pieces.count; i++) {
    const { buffer, start, end } = pieces.at(i);
    mac.setAAD(buffer.subarray(start, end));
  }
  mac.final();
  return `${pieces.bytes} ${mac.getAuthTag().toString('latin1')}`;
}

function hashOfText(text: string, seed: number): number {
  let hash = mix(seed, text.length);
  for (let i = 0; i < text.length; i++) hash = mix(hash, text.charCodeAt(i));
  return hash;
}

const octets = new OctetHash();

function hashOfPieces(pieces: Pieces, seed: number): number {
  octets.begin(mix(seed, pieces.bytes));
  for (let i = 0; i < pieces.count; i++) {
    const { buffer, start, end } = pieces.at(i);
    octets.add(buffer, start, end);
  }
  return octets.end();
}
