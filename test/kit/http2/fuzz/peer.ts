/**
 * The peer of the engine under test: it speaks mostly valid HTTP/2, knows the state of every stream, and now and then
 * does something wrong: a frame with a wrong id, type, flag or length, a list that means nothing, HPACK that is none,
 * a window overrun, bytes at random.
 */
import * as h2 from '../h2-frames.js';
import type { Field } from '../hpack-lite.js';
import { BlockWriter } from './block-writer.js';
import type { Dice } from './dice.js';
import { BAD_FIELDS, EXTRA_FIELDS, REQUESTS, RESPONSES, TRAILER_LISTS } from './lists.js';
import type { View, WireState } from './wire-state.js';

export interface Bytes {
  readonly bytes: Buffer;
  /** Tampered with: HPACK may find a fault in it that a lenient decoder passes. */
  readonly suspect: boolean;
}

const NOTHING = Buffer.alloc(0);
type Setting = readonly [id: number, value: number];
const BAD_SETTINGS: readonly Setting[] = [
  [2, 1],
  [2, 2],
  [4, 0x80000000],
  [4, 0x7fffffff],
  [5, 16_383],
  [5, 0x1000000],
];
const PAYLOAD = Buffer.alloc(16_384, 0x2e);

export class Peer {
  private readonly writer: BlockWriter;
  private last: Buffer = h2.settings();
  private isTampering = false;

  /** `malice`: how likely a frame is to be wrong. */
  constructor(
    private readonly w: WireState,
    private readonly dice: Dice,
    private readonly malice: number,
  ) {
    this.writer = new BlockWriter(dice);
  }

  next(): Bytes {
    const bad = this.dice.chance(this.malice);
    const bytes = bad ? this.bad() : this.good();
    const suspect = this.isTampering || bad;
    this.isTampering = false;
    this.last = bytes;
    return { bytes, suspect };
  }

  /** A request that is well formed, on the next id: something that must work whatever happened before. */
  wellFormedRequest(): Buffer {
    return this.block(this.nextId(), [], 1, this.writer.plain(this.dice.pick(REQUESTS)), true);
  }

  wellFormedResponse(id: number): Buffer {
    return this.block(id, [], 1, this.writer.plain(this.dice.pick(RESPONSES)), true);
  }

  /** Ids are running out: nothing can be promised any more. */
  get isWorn(): boolean {
    return this.w.lastTheirId > 0x7fffffff - 4000;
  }

  private nextId(): number {
    const { dice } = this;
    const { lastTheirId } = this.w;
    if (this.isWorn) return Math.min(0x7fffffff, lastTheirId + 2);
    if (lastTheirId === 0) return 1;
    return lastTheirId + (dice.chance(0.95) ? 2 : 2 * dice.between(1, 600));
  }

  private good(): Buffer {
    const { dice, w } = this;
    const open = w.openViews();
    const sending = open.filter((view) => !view.theyEnded);
    const one = sending.length > 0 ? dice.pick(sending) : null;
    const isServer = w.role === 'server';
    const isComplete = one !== null && (one.expected < 0 || one.expected === one.received);
    const request = (): Buffer => (isServer ? this.request() : h2.ping(dice.bytes(8)));
    const aReset = (): Buffer => h2.rstStream(dice.pick(open).id, dice.pick([0, 2, 7, 8, 99]));
    const unknown = (): Buffer =>
      h2.frame(dice.between(10, 255), dice.below(256), dice.below(1 << 20), dice.bytes(dice.below(40)));
    const anyPing = (): Buffer => h2.ping(dice.bytes(8), dice.chance(0.2) ? 1 : 0);
    const next = (view: View): Buffer => (view.theirHeaders ? this.data(view) : this.response(view));
    const trailers = (view: View): Buffer =>
      this.block(view.id, dice.pick(TRAILER_LISTS), isComplete ? 1 : 0);
    const lastIds = [0x7fffffff, w.nextOurId - 2, Math.max(0, w.nextOurId - 12)];
    const make = dice.weighted<() => Buffer>([
      [isServer ? (open.length < 30 ? 6 : 2) : 0, request],
      [10, () => (one === null ? anyPing() : next(one))],
      [1.5, () => (one?.theirHeaders ? trailers(one) : request())],
      [4, () => this.window(open)],
      [0.6, () => this.settings()],
      [0.3, h2.settingsAck],
      [0.6, anyPing],
      [0.8, () => (open.length > 0 ? aReset() : anyPing())],
      [0.4, () => h2.priority(dice.between(1, 500) * 2 + 1, 0, dice.below(256))],
      [0.3, unknown],
      [0.02, () => h2.goaway(isServer ? 0 : dice.pick(lastIds), 0, 'bye')],
    ]);
    return make();
  }

  private request(): Buffer {
    const { dice } = this;
    const list: Field[] = [...dice.pick(REQUESTS)];
    for (let n = dice.below(4); n > 0; n--) list.push(dice.pick(EXTRA_FIELDS));
    const ends = dice.chance(0.4) ? 1 : 0;
    if (dice.chance(0.1)) list.push(['content-length', ends ? '0' : String(dice.below(2000))]);
    return this.block(this.nextId(), list, ends);
  }

  private response(view: View): Buffer {
    const { dice } = this;
    if (dice.chance(0.1)) return this.block(view.id, [[':status', dice.pick(['100', '103'])]], 0);
    return this.block(view.id, dice.pick(RESPONSES), dice.chance(0.2) ? 1 : 0);
  }

  /** A header block with or without padding, priority and CONTINUATION. */
  private block(
    id: number,
    fields: readonly Field[],
    flags: number,
    bytes = this.writer.clean(fields),
    isHonest = false,
  ): Buffer {
    const { dice } = this;
    let all = flags;
    const cut = dice.chance(0.1) ? dice.below(bytes.length + 1) : bytes.length;
    const rest = bytes.subarray(cut);
    let body = bytes.subarray(0, cut);
    if (dice.chance(0.1)) {
      const on = Buffer.alloc(5, dice.below(256));
      on.writeUInt32BE(isHonest || !dice.chance(this.malice) ? 0 : id);
      body = Buffer.concat([on, body]);
      all |= 0x20;
    }
    if (dice.chance(0.1)) {
      const padding = dice.below(60);
      body = Buffer.concat([Buffer.from([padding]), body, Buffer.alloc(padding)]);
      all |= 8;
    }
    if (rest.length === 0 && cut === bytes.length && dice.chance(0.95)) return h2.headers(id, body, all | 4);
    const middle = dice.below(rest.length + 1);
    return Buffer.concat([
      h2.headers(id, body, all),
      h2.continuation(id, rest.subarray(0, middle)),
      h2.continuation(id, rest.subarray(middle), 4),
    ]);
  }

  /** Small frames of a few streams in a row, all valid, which the engine may take together; null when there is no stream for them. */
  run(): Buffer[] | null {
    const { dice, w } = this;
    const able = w.openViews().filter((view) => view.theirHeaders && !view.theyEnded && view.expected < 0);
    if (able.length === 0) return null;
    const some = Array.from({ length: dice.between(1, 3) }, () => dice.pick(able));
    const rooms = new Map(some.map((view) => [view.id, view.theirWindow]));
    let room = w.theirWindow;
    const frames: Buffer[] = [];
    for (let n = dice.between(2, 30); n > 0; n--) {
      const { id } = dice.pick(some);
      const wanted = dice.pick([1, 2, 3, 4, 5, 105, 1023, 1024, 1025, dice.below(1100) + 1]);
      const size = Math.min(room, rooms.get(id)!, wanted);
      if (size <= 0) continue;
      room -= size;
      rooms.set(id, rooms.get(id)! - size);
      frames.push(h2.data(id, dice.bytes(size)));
    }
    return frames.length === 0 ? null : frames;
  }

  private data(view: View): Buffer {
    const { dice, w } = this;
    let n = Math.max(0, Math.min(dice.size(16_384), view.theirWindow, w.theirWindow));
    const left = view.expected < 0 ? n : view.expected - view.received;
    n = Math.min(n, left);
    const ends = (view.expected < 0 ? dice.chance(0.15) : n === left) ? 1 : 0;
    const room = Math.min(view.theirWindow, w.theirWindow, 16_384) - n - 1;
    if (dice.chance(0.15) && room >= 0)
      return h2.paddedData(view.id, PAYLOAD.subarray(0, n), Math.min(room, dice.below(256)), ends);
    return h2.data(view.id, PAYLOAD.subarray(0, n), ends);
  }

  private window(open: readonly View[]): Buffer {
    const { dice, w } = this;
    const isWhole = open.length === 0 || dice.chance(0.4);
    const { id, ourWindow } = isWhole ? { id: 0, ourWindow: w.ourWindow } : dice.pick(open);
    return h2.windowUpdate(id, Math.max(1, Math.min(0x7fffffff - ourWindow, dice.size(100_000))));
  }

  private settings(): Buffer {
    const { dice } = this;
    const any = (): Setting =>
      dice.pick<Setting>([
        [1, dice.pick([0, 100, 4096, 65_536])],
        [3, dice.pick([0, 1, 5, 100, 0xffffffff])],
        [4, dice.pick([0, 1, 1000, 65_535, 300_000])],
        [5, dice.pick([16_384, 20_000, 0xffffff])],
        [6, dice.below(1 << 20)],
        [dice.between(7, 99), dice.below(1 << 30)],
        [2, 0],
      ]);
    return h2.settings(Array.from({ length: dice.below(4) }, any));
  }

  // ---- what is wrong ----

  private bad(): Buffer {
    const { dice, w } = this;
    const ids = [0, 1, 2, 3, w.lastTheirId, w.nextOurId, Math.max(1, w.nextOurId - 2), dice.below(4000)];
    const latest = w.openViews().slice(-5);
    const id = dice.pick([...ids, ...latest.map((view) => view.id)]);
    const freshId = (): number => (w.role === 'server' ? this.nextId() : id);
    const malformed = (): Buffer => this.malformed(id);
    const tampered = (): Buffer => {
      this.isTampering = true;
      const lists = [...REQUESTS, ...RESPONSES];
      return this.block(freshId(), [], dice.below(2), this.writer.tampered(dice.pick(lists)));
    };
    const large = (): Field => ['x-large', 'y'.repeat(dice.pick([3000, 17_000]))];
    const interim = (): Buffer => h2.headers(id, Buffer.from('0803313033', 'hex'), 4);
    const faults: readonly (() => Buffer)[] = [
      malformed,
      malformed,
      tampered,
      tampered,
      () => h2.data(id, PAYLOAD.subarray(0, dice.size(16_384)), dice.below(2)),
      () => h2.windowUpdate(id, dice.pick([0, 0, 1, 0x7fffffff])),
      () => h2.rstStream(id, dice.below(20)),
      () => h2.priority(id, id),
      () => h2.settings([dice.pick(BAD_SETTINGS)]),
      () => h2.pushPromise(id, 2, Buffer.from([0x82])),
      () => h2.frame(dice.below(11), dice.below(256), id, dice.bytes(dice.below(30))),
      () => this.flip(this.good()),
      () => this.flip(this.last),
      () => this.last,
      () => h2.frame(dice.below(10), dice.below(256), id, NOTHING, dice.pick([16_385, 0xffffff, 1 << 20])),
      () => this.cut(this.good()),
      () => dice.bytes(dice.between(1, 30)),
      () => this.block(freshId(), [...dice.pick(REQUESTS), large()], 1),
      () => this.padded(id),
      () => Buffer.concat(Array.from({ length: dice.between(2, 14) }, interim)),
    ];
    return dice.pick(faults)();
  }

  private malformed(someId: number): Buffer {
    const { dice, w } = this;
    const list = [...dice.pick([...REQUESTS, ...RESPONSES, ...TRAILER_LISTS])];
    if (dice.chance(0.7)) list.splice(dice.below(list.length + 1), 0, dice.pick(BAD_FIELDS));
    else if (list.length > 0) list.splice(dice.below(list.length), 1);
    return this.block(w.role === 'server' && dice.chance(0.7) ? this.nextId() : someId, list, dice.below(2));
  }

  private cut(bytes: Buffer): Buffer {
    return bytes.subarray(0, this.dice.below(bytes.length + 1));
  }

  /** DATA or HEADERS with a pad length that may be wrong. */
  private padded(id: number): Buffer {
    const { dice } = this;
    const n = dice.below(5);
    const [type, flags] = [dice.below(2), 8 + dice.pick([0, 1, 4, 5])];
    const padding = Buffer.from([n + dice.between(-1, 2)]);
    return h2.frame(type, flags, id, Buffer.concat([padding, Buffer.alloc(n)]));
  }

  /** One byte of the frame's header or payload is another. */
  private flip(bytes: Buffer): Buffer {
    this.isTampering = true;
    const copy = Buffer.from(bytes);
    if (copy.length > 0) copy[this.dice.below(Math.min(copy.length, 40))]! ^= 1 << this.dice.below(8);
    return copy;
  }
}
