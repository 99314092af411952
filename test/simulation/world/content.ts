/**
 * The contents of messages. Each byte is known by its call, direction, message and offset, so that a byte that was lost,
 * repeated or put elsewhere is seen where it arrives. Shares no code with the product.
 */
import { hashOf } from '../dice.js';
import { ENCODING } from '../plan/plan.js';

const SPAN = 1 << 16;
const NO_HEAD = Buffer.alloc(0);
/** Bytes without order, twice over: a window of any beginning and up to 64 KiB is one piece. */
const NOISE = noise();

function noise(): Buffer {
  const bytes = Buffer.allocUnsafeSlow(2 * SPAN);
  let state = 0x12345678;
  for (let i = 0; i < SPAN; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[i] = state;
    bytes[SPAN + i] = state;
  }
  return bytes;
}

export const REQUEST = 'request';
export const RESPONSE = 'response';
export type Direction = typeof REQUEST | typeof RESPONSE;

/** Of a token stream: bytes of one token, where its call says nothing else. */
export const TOKEN_BYTES = 12;

const startOf = (call: number, direction: Direction, index: number): number =>
  hashOf(`${call} ${direction} ${index}`) % SPAN;

/** Calls `use` with the content from `from` to `to`, in pieces. */
function pieces(start: number, from: number, to: number, use: (piece: Buffer, at: number) => void): void {
  for (let at = from; at < to; ) {
    const begin = (start + at) % SPAN;
    const size = Math.min(to - at, SPAN);
    use(NOISE.subarray(begin, begin + size), at);
    at += size;
  }
}

/** A message of `size` bytes, without its prefix. */
export function messageOf(call: number, direction: Direction, index: number, size: number): Buffer {
  const bytes = Buffer.allocUnsafeSlow(size);
  pieces(startOf(call, direction, index), 0, size, (piece, at) => void piece.copy(bytes, at));
  return bytes;
}

/** Tokens `[from, to)` of a call, each of so many bytes, one after the other. */
export function tokensOf(call: number, from: number, to: number, tokenBytes: number): Buffer {
  return Buffer.concat(
    Array.from({ length: to - from }, (_, i) => messageOf(call, RESPONSE, from + i, tokenBytes)),
  );
}

/** Where the first piece of a message ends; its size: it is sent whole. */
export function cutOf(
  { id, isInPieces }: { readonly id: number; readonly isInPieces?: boolean },
  direction: Direction,
  index: number,
  size: number,
): number {
  if (isInPieces !== true) return size;
  const chance = hashOf(`${id} ${direction} ${index} in pieces`);
  return chance % 3 > 0 ? size : 1 + ((chance >>> 8) % size);
}

const XOR = 0x5a;

/** A message as the encoding of the simulation has it, and back. */
export function encoded(bytes: Buffer): Buffer {
  return Buffer.from(bytes.map((byte) => byte ^ XOR));
}

/** Bytes before the content of a message that has it in a field, by the size of the content. */
export type Head = (size: number) => Buffer;

/** A message without its prefix. */
export function withHead(content: Buffer, head?: Head): Buffer {
  return head === undefined ? content : Buffer.concat([head(content.length), content]);
}

/** A message with its prefix. */
export function framedMessage(content: Buffer, head?: Head): Buffer {
  const message = withHead(content, head);
  return Buffer.concat([prefixOf(message.length), message]);
}

/** Five bytes before a message: whether it is compressed, and its length (the gRPC wire format). */
export function prefixOf(size: number, flag = 0): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(size, 1);
  return prefix;
}

/** What one side of a call is to receive. */
export interface Expected {
  readonly call: number;
  readonly direction: Direction;
  /** Sizes of the messages in order; of a token stream the number of tokens, in messages of any size. */
  readonly sizes: readonly number[];
  readonly tokens?: number;
  /** Bytes of each. */
  readonly tokenBytes?: number;
  /** Absent: a message is its content. */
  readonly head?: Head | undefined;
}

/** Reads messages as they arrive and compares each byte. */
export class ContentCheck {
  /** Whole messages, or tokens, that arrived as they should. */
  received = 0;
  messages = 0;
  /** `grpc-encoding` of what comes. */
  encoding = 'identity';
  /** The first thing that was wrong; empty: nothing. */
  problem = '';
  private readonly prefix = Buffer.alloc(5);
  private prefixBytes = 0;
  private size = -1;
  private at = 0;
  /** Of the message that comes. */
  private head: Buffer = NO_HEAD;
  private readonly tokenBytes: number;

  constructor(private readonly expected: Expected) {
    this.tokenBytes = expected.tokenBytes ?? TOKEN_BYTES;
  }

  /** Whether all has arrived, and nothing else. */
  get isComplete(): boolean {
    const { sizes, tokens } = this.expected;
    const isBetween = this.prefixBytes === 0 && this.size < 0;
    return this.problem === '' && isBetween && this.received === (tokens ?? sizes.length);
  }

  get isBetweenMessages(): boolean {
    return this.prefixBytes === 0 && this.size < 0;
  }

  take(bytes: Buffer): void {
    for (let at = 0; at < bytes.length && this.problem === ''; ) {
      if (this.size < 0) at = this.takePrefix(bytes, at);
      else at = this.takeContent(bytes, at);
      if (this.size >= 0 && this.at === this.size) this.endMessage();
    }
  }

  private takePrefix(bytes: Buffer, at: number): number {
    const size = Math.min(5 - this.prefixBytes, bytes.length - at);
    bytes.copy(this.prefix, this.prefixBytes, at, at + size);
    this.prefixBytes += size;
    if (this.prefixBytes < 5) return at + size;
    const { sizes, tokens, head } = this.expected;
    this.head = head?.(sizes[this.messages] ?? 0) ?? NO_HEAD;
    this.size = this.prefix.readUInt32BE(1);
    this.at = 0;
    const mayBeEncoded = this.encoding === ENCODING;
    if (this.prefix[0]! > (mayBeEncoded ? 1 : 0))
      this.problem = `message ${this.messages}: flag ${this.prefix[0]}`;
    else if (tokens !== undefined) {
      const most = (tokens - this.received) * this.tokenBytes;
      if (this.size > most || this.size % this.tokenBytes !== 0)
        this.problem = `message ${this.messages}: ${this.size} bytes, at most ${most} are to come`;
    } else if (this.size !== this.head.length + (sizes[this.messages] ?? Number.NaN))
      this.problem = `message ${this.messages}: ${this.size} bytes, expected ${sizes[this.messages] ?? 'no more'}`;
    return at + size;
  }

  private takeContent(bytes: Buffer, at: number): number {
    if (this.at < this.head.length) return this.takeHead(bytes, at);
    const size = Math.min(this.size - this.at, bytes.length - at);
    const offset = this.at - this.head.length;
    if (this.expected.tokens === undefined) this.compare(this.messages, offset, bytes, at, at + size);
    else this.compareTokens(offset, bytes, at, at + size);
    this.at += size;
    return at + size;
  }

  /** Bytes of tokens, from this offset in the message on. */
  private compareTokens(offset: number, bytes: Buffer, from: number, to: number): void {
    const { tokenBytes } = this;
    for (let at = from; at < to && this.problem === ''; ) {
      const within = (offset + at - from) % tokenBytes;
      const token = this.received + Math.floor((offset + at - from) / tokenBytes);
      const end = Math.min(to, at + tokenBytes - within);
      this.compare(token, within, bytes, at, end);
      at = end;
    }
  }

  /** Bytes `[from, to)` are to be those of message or token `index` from `offset` on. */
  private compare(index: number, offset: number, bytes: Buffer, from: number, to: number): void {
    const { call, direction, tokens } = this.expected;
    const isEncoded = this.prefix[0] !== 0;
    pieces(startOf(call, direction, index), offset, offset + to - from, (piece, at) => {
      if (this.problem !== '') return;
      const here = from + at - offset;
      const expected = isEncoded ? encoded(piece) : piece;
      if (expected.compare(bytes, here, here + piece.length) === 0) return;
      const what = tokens === undefined ? 'other bytes' : `not token ${index}`;
      this.problem = `message ${this.messages}: ${what} between ${at} and ${at + piece.length}`;
    });
  }

  private takeHead(bytes: Buffer, at: number): number {
    const size = Math.min(this.head.length - this.at, bytes.length - at);
    const head = this.prefix[0] === 0 ? this.head : encoded(this.head);
    if (head.compare(bytes, at, at + size, this.at, this.at + size) !== 0)
      this.problem = `message ${this.messages}: another head`;
    this.at += size;
    return at + size;
  }

  private endMessage(): void {
    this.received += this.expected.tokens === undefined ? 1 : this.size / this.tokenBytes;
    this.messages++;
    this.size = -1;
    this.prefixBytes = 0;
  }
}
