/**
 * A network in memory that does what kernels do. What is written stays with the writer, by reference, until its kernel
 * takes it, some bytes at a time; it then needs a while to arrive, and is read in pieces of any size. Connections hang,
 * stall, end by halves and break at any byte. Everything happens on the clock of the world.
 */
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import type { Address } from '../../../sidecar/config/model.js';
import type { ManualClock } from '../../kit/time/manual-clock.js';
import type { Dice } from '../dice.js';

/** A process, as its sockets see it. */
export interface SocketOwner {
  /** The machine that it runs on. */
  readonly name: string;
  readonly host: string;
  readonly isDead: boolean;
  readonly isFrozen: boolean;
  readonly sockets: Set<SimSocket>;
  readonly servers: Set<SimServer>;
  now(): number;
  /** Runs `fn` as this process would: not at all when it is dead, later when it is frozen. */
  run(fn: () => void): void;
  whenThawed(fn: () => void): void;
  /** Runs `fn` at the end of this turn. */
  defer(fn: () => void): void;
}

/** What a connection does with bytes, in each direction. */
export interface LinkConditions {
  /** From the kernel of the writer to that of the reader, ms. */
  readonly delayMs: number;
  /** Bytes on their way and not read, at most: a writer blocks beyond it. */
  readonly kernelBytes: number;
  /** Most bytes that the kernel takes in one turn. */
  readonly takeBytes: number;
  /** Most bytes of a read. */
  readonly readBytes: number;
  /** Whether takes and reads bring any number of bytes up to their most, or as many as there are. */
  readonly isRagged: boolean;
}

export const CALM: LinkConditions = {
  delayMs: 0.05,
  kernelBytes: 256 * 1024,
  takeBytes: 256 * 1024,
  readBytes: 64 * 1024,
  isRagged: false,
};

/** Of takes and reads on a ragged connection. */
const RAGGED_SHARE = 0.3;

/** What is asked of a socket of TCP, and means nothing here. */
export function unchanged<T>(this: T): T {
  return this;
}

/** What Node holds before `write` answers false. */
const HIGH_WATER_BYTES = 16 * 1024;

interface OnTheWay {
  readonly bytes: Buffer;
  read: number;
  readonly atMs: number;
}

export class SimSocket extends EventEmitter {
  writableLength = 0;
  destroyed = false;
  writableEnded = false;
  connecting = false;
  /** Whether this side takes the other's proof; a connection that is not believed breaks. */
  believes: (other: SocketOwner) => boolean = () => true;
  /** Bytes are read as they come; false: paused. */
  isReading = true;
  /** What this side has proved about itself; null: nothing. */
  identity: string | null = null;
  notAfterMs = Number.POSITIVE_INFINITY;
  /** Number of the root that its certificate is of, and of the other's. */
  root = 0;
  peerRoot = 0;
  readonly remoteAddress = '10.0.0.1';
  /** @internal */
  other: SimSocket | null = null;
  /** Until when nothing that this side writes is taken or arrives; a fault. */
  stalledUntilMs = 0;
  /** The connection breaks when this side has sent so many more bytes; a fault. */
  breaksAfterBytes = Number.POSITIVE_INFINITY;
  private readonly queue: Buffer[] = [];
  /** Of each buffer in the queue: whether its beginning is as it was written. */
  private readonly marks: number[] = [];
  private onTheWay: OnTheWay[] = [];
  private onTheWayBytes = 0;
  private endAtMs = Number.POSITIVE_INFINITY;
  private isEndRead = false;
  private needsDrain = false;
  private isClosed = false;
  private lastAtMs = 0;

  constructor(
    private readonly net: SimNet,
    /** Undefined: outside of all processes. */
    readonly process: SocketOwner,
    public conditions: LinkConditions,
    private readonly dice: Dice,
  ) {
    super();
    process.sockets.add(this);
  }

  get writableNeedDrain(): boolean {
    return this.needsDrain;
  }
  readonly setNoDelay = unchanged;
  readonly setKeepAlive = unchanged;
  readonly setTimeout = unchanged;
  readonly ref = unchanged;
  readonly unref = unchanged;
  cork(): void {}
  uncork(): void {}

  write(chunk: Buffer): boolean {
    if (this.destroyed || this.writableEnded) return false;
    if (chunk.length === 0) return !this.needsDrain;
    this.queue.push(chunk);
    this.marks.push(markOf(chunk));
    this.writableLength += chunk.length;
    this.needsDrain ||= this.writableLength >= HIGH_WATER_BYTES;
    this.net.touch(this);
    return this.writableLength < HIGH_WATER_BYTES;
  }

  end(done?: () => void): this {
    if (done !== undefined) this.once('finish', done);
    if (!this.destroyed) this.writableEnded = true;
    this.net.touch(this);
    return this;
  }

  destroy(): this {
    if (this.destroyed) return this;
    this.destroyed = true;
    this.writableEnded = true;
    // What Node has not handed to the kernel is lost.
    this.queue.length = 0;
    this.marks.length = 0;
    this.net.touch(this);
    return this;
  }

  pause(): this {
    this.isReading = false;
    return this;
  }

  resume(): this {
    this.isReading = true;
    if (this.other !== null) this.net.touch(this.other);
    return this;
  }

  /** The connection breaks: an error, then 'close', on both sides. */
  break(code = 'ECONNRESET'): void {
    for (const side of [this, this.other]) side?.fail(code);
  }

  /** The process of this side is gone: nothing of it runs any more, and the other side is told by a reset. */
  vanish(): void {
    this.isClosed = true;
    this.destroyed = true;
    this.queue.length = 0;
    this.marks.length = 0;
    this.process.sockets.delete(this);
    const { other } = this;
    if (other !== null) this.net.clock.after(this.conditions.delayMs, () => other.fail('ECONNRESET'));
  }

  /** @internal */
  fail(code: string): void {
    if (this.isClosed) return;
    if (this.process.isFrozen) return this.process.whenThawed(() => this.fail(code));
    this.queue.length = 0;
    this.marks.length = 0;
    this.destroyed = true;
    this.tell('error', Object.assign(new Error(code), { code }));
    this.close();
  }

  /** @internal An event, handled by the process of this side. */
  tell(event: string, ...args: readonly unknown[]): void {
    this.process.run(() => void this.emit(event, ...args));
  }

  private close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.destroyed = true;
    this.process.sockets.delete(this);
    this.tell('close', false);
  }

  /** @internal One turn of what this side has written. True: something happened. */
  step(): boolean {
    const { other } = this;
    if (this.connecting) {
      if (!this.destroyed || this.isClosed) return false;
      this.close();
      return true;
    }
    if (other === null) return false;
    const nowMs = this.net.clock.now();
    const isStalled = nowMs < this.stalledUntilMs || this.net.isCut(this.process, other.process);
    if (isStalled) {
      this.net.wake(this, Math.max(this.stalledUntilMs, nowMs + 1));
      return false;
    }
    let moved = this.take(nowMs);
    moved = this.deliver(other, nowMs) || moved;
    return this.finish(other, nowMs) || moved;
  }

  private most(bytes: number): number {
    const { isRagged } = this.conditions;
    return isRagged && this.dice.chance(RAGGED_SHARE) ? this.dice.logBetween(1, bytes) : bytes;
  }

  /** The kernel takes what it has room for, and copies it. */
  private take(nowMs: number): boolean {
    if (this.queue.length === 0 || this.process.isFrozen) return false;
    const room = this.conditions.kernelBytes - this.onTheWayBytes;
    let left = Math.min(room, this.most(this.conditions.takeBytes), this.breaksAfterBytes);
    if (left <= 0) {
      if (this.breaksAfterBytes > 0) return false;
      this.break();
      return true;
    }
    const parts: Buffer[] = [];
    let size = 0;
    while (left > 0 && this.queue.length > 0) {
      const first = this.queue[0]!;
      if (this.marks[0] !== markOf(first)) this.net.onChanged(this.process.name);
      const part = first.length <= left ? first : first.subarray(0, left);
      parts.push(part);
      size += part.length;
      left -= part.length;
      if (part.length === first.length) {
        this.queue.shift();
        this.marks.shift();
      } else {
        this.queue[0] = first.subarray(part.length);
        this.marks[0] = markOf(this.queue[0]);
      }
    }
    this.breaksAfterBytes -= size;
    this.lastAtMs = Math.max(this.lastAtMs, nowMs + this.conditions.delayMs);
    const bytes = kernelMemory(size);
    let at = 0;
    for (const part of parts) at += part.copy(bytes, at);
    this.onTheWay.push({ bytes, read: 0, atMs: this.lastAtMs });
    this.onTheWayBytes += size;
    this.writableLength -= size;
    if (this.queue.length > 0) this.net.touch(this);
    this.net.wake(this, this.lastAtMs);
    if (this.needsDrain && this.writableLength === 0 && !this.destroyed) {
      this.needsDrain = false;
      this.tell('drain');
    }
    return true;
  }

  /** One read of the other side. */
  private deliver(other: SimSocket, nowMs: number): boolean {
    const first = this.onTheWay[0];
    if (first === undefined || first.atMs > nowMs) return false;
    if (other.isClosed || other.destroyed) {
      // What arrives at a closed socket is answered with a reset.
      this.onTheWay = [];
      this.onTheWayBytes = 0;
      this.net.clock.after(this.conditions.delayMs, () => this.fail('ECONNRESET'));
      return true;
    }
    if (!other.isReading || other.process.isFrozen) return false;
    let arrived = 0;
    const most = this.most(this.conditions.readBytes);
    for (const each of this.onTheWay) {
      if (each.atMs > nowMs || arrived >= most) break;
      arrived += each.bytes.length - each.read;
    }
    const size = Math.min(most, arrived);
    // As Node's reads do, each stands in memory of its own.
    const read = ownMemory(size);
    for (let at = 0; at < size; ) {
      const each = this.onTheWay[0]!;
      const part = each.bytes.copy(read, at, each.read);
      at += part;
      each.read += part;
      if (each.read === each.bytes.length) this.onTheWay.shift();
    }
    this.onTheWayBytes -= size;
    this.net.count(size);
    this.net.touch(this);
    other.tell('data', read);
    return true;
  }

  private finish(other: SimSocket, nowMs: number): boolean {
    if (this.process.isFrozen && !this.isClosed) return false;
    if (this.writableEnded && this.queue.length === 0 && this.endAtMs === Number.POSITIVE_INFINITY) {
      this.endAtMs = nowMs + this.conditions.delayMs;
      this.net.wake(this, this.endAtMs);
      this.tell('finish');
      return true;
    }
    let moved = false;
    if (this.endAtMs <= nowMs && this.onTheWay.length === 0 && !other.isEndRead) {
      if (!other.isClosed && (!other.isReading || other.process.isFrozen)) return false;
      other.isEndRead = true;
      if (!other.isClosed && !other.destroyed)
        other.process.run(() => {
          other.emit('end');
          // `allowHalfOpen` is false.
          other.end();
        });
      this.net.touch(other);
      moved = true;
    }
    const hasSaidAll = this.endAtMs <= nowMs;
    if (!this.isClosed && (this.destroyed || (hasSaidAll && this.isEndRead))) {
      this.close();
      this.net.touch(other);
      moved = true;
    }
    return moved;
  }
}

/** Over the first bytes of a buffer: a frame header at its begin is among them. */
function markOf(bytes: Buffer): number {
  let mark = bytes.length;
  for (let i = 0; i < Math.min(bytes.length, 64); i++) mark = (Math.imul(mark, 31) + bytes[i]!) | 0;
  return mark;
}

/** As a sidecar reads: small reads share memory of this size, large ones have their own. */
const SLAB_BYTES = 16 * 1024;
let slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
let slabAt = 0;

/** What is on its way lies in memory of kernels, which no process sees: many pieces share it. */
const KERNEL_BYTES = 512 * 1024;
let kernel = Buffer.allocUnsafeSlow(KERNEL_BYTES);
let kernelAt = 0;

function kernelMemory(size: number): Buffer {
  if (size > KERNEL_BYTES / 4) return Buffer.allocUnsafeSlow(size);
  if (kernelAt + size > KERNEL_BYTES) {
    kernel = Buffer.allocUnsafeSlow(KERNEL_BYTES);
    kernelAt = 0;
  }
  kernelAt += size;
  return kernel.subarray(kernelAt - size, kernelAt);
}

/** Memory that no other piece lies in. */
function ownMemory(size: number): Buffer {
  if (size > SLAB_BYTES / 4) return Buffer.allocUnsafeSlow(size);
  if (slabAt + size > SLAB_BYTES) {
    slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
    slabAt = 0;
  }
  const own = slab.subarray(slabAt, slabAt + size);
  slabAt += size + 16;
  return own;
}

/** A socket that listens at an address. Processes may share it, by its descriptor: each connection goes to one of them. */
interface Listening {
  readonly fd: number;
  readonly address: Address;
  readonly servers: SimServer[];
}

/** What accepts connections at an address. */
export class SimServer extends EventEmitter {
  private at: Listening | undefined;
  isListening = false;
  /** As Node has it: a successor is given the descriptor. */
  _handle: { readonly fd: number } | null = null;

  constructor(
    private readonly net: SimNet,
    readonly process: SocketOwner,
    private readonly onSocket: (socket: Socket) => void,
  ) {
    super();
    process.servers.add(this);
  }

  listen(where: { host?: string; port?: number; path?: string; fd?: number }, ...rest: unknown[]): this {
    const listening = rest.find((each) => typeof each === 'function') as (() => void) | undefined;
    const found = where.fd === undefined ? this.net.open(addressOf(where)) : this.net.inherited(where.fd);
    if (typeof found === 'string') {
      const error = Object.assign(new Error(found), { code: found.split(' ')[0] });
      this.process.defer(() => this.emit('error', error));
      return this;
    }
    this.at = found;
    found.servers.push(this);
    this._handle = { fd: found.fd };
    this.isListening = true;
    this.process.defer(() => listening?.());
    return this;
  }

  address(): { address: string; port: number } | string | null {
    const bound = this.at?.address;
    if (bound === undefined) return null;
    return bound.kind === 'unix' ? bound.path : { address: bound.host, port: bound.port };
  }

  close(done?: () => void): this {
    this.vanish();
    if (done !== undefined) this.process.defer(done);
    return this;
  }

  /** It listens no more. */
  vanish(): void {
    if (this.at !== undefined) this.net.leave(this.at, this);
    this.isListening = false;
    this._handle = null;
    this.process.servers.delete(this);
  }

  accept(socket: SimSocket): void {
    this.process.run(() => this.onSocket(socket as unknown as Socket));
  }
}

function addressOf({
  path,
  host = '127.0.0.1',
  port = 0,
}: {
  path?: string;
  host?: string;
  port?: number;
}): Address {
  return path === undefined ? { kind: 'tcp', host, port } : { kind: 'unix', path };
}

export function keyOf(address: Address): string {
  return address.kind === 'unix' ? address.path : `${address.host}:${address.port}`;
}

export class SimNet {
  private readonly listening = new Map<string, Listening>();
  private descriptors = 100;
  /** Addresses whose connects are never answered; a fault. */
  readonly silent = new Set<string>();
  /** What processes prove of themselves. */
  readonly identities = new Map<
    SocketOwner,
    { readonly root: number; isValidFor(other: SocketOwner): boolean }
  >();
  /** Addresses whose clients are Node's own, which take a stream. */
  readonly streams = new Set<string>();
  /** Names of processes that cannot reach each other, as `A B`; a fault. */
  readonly cuts = new Set<string>();
  connections = 0;
  /** A buffer was changed between its write and its take. */
  onChanged: (process: string) => void = () => {};
  /** Hash over the size and the time of each read. */
  readHash = 0;
  /** Of all reads together. */
  bytesRead = 0;
  private touched = new Set<SimSocket>();

  constructor(
    readonly clock: ManualClock,
    private readonly dice: Dice,
    /** Of a connection between these processes. */
    private readonly conditionsOf: (from: SocketOwner, to: SocketOwner) => LinkConditions,
  ) {}

  /** A new socket that listens; a text: why not. */
  open(address: Address): Listening | string {
    const key = keyOf(address);
    if (this.listening.has(key)) return `EADDRINUSE ${key}`;
    const fresh = { fd: ++this.descriptors, address, servers: [] };
    this.listening.set(key, fresh);
    return fresh;
  }

  /** One that a predecessor listens on. */
  inherited(fd: number): Listening | string {
    return [...this.listening.values()].find((each) => each.fd === fd) ?? `EBADF ${fd}`;
  }

  /** The socket is closed with the last that listens on it. */
  leave(socket: Listening, server: SimServer): void {
    const at = socket.servers.indexOf(server);
    if (at >= 0) socket.servers.splice(at, 1);
    if (socket.servers.length === 0) this.listening.delete(keyOf(socket.address));
  }

  /** What accepts the next connection: of several the kernel wakes any that runs. */
  private acceptor(key: string): SimServer | undefined {
    const servers = this.listening.get(key)?.servers ?? [];
    if (servers.length <= 1) return servers[0];
    const awake = servers.filter(({ process }) => !process.isFrozen);
    return this.dice.pick(awake.length > 0 ? awake : servers);
  }

  /** Whether the network between two processes is cut. */
  isCut(one: SocketOwner, other: SocketOwner): boolean {
    if (this.cuts.size === 0) return false;
    return this.cuts.has(`${one.host} ${other.host}`) || this.cuts.has(`${other.host} ${one.host}`);
  }

  /** Begins to connect; the answer comes with a later turn. */
  dial(address: Address, from: SocketOwner, identity: string | null, notAfterMs: number): SimSocket {
    const key = keyOf(address);
    const number = ++this.connections;
    const target = this.listening.get(key)?.servers[0];
    const conditions = this.conditionsOf(from, target?.process ?? from);
    const dice = this.dice.of(number);
    const socket = new SimSocket(this, from, conditions, dice);
    socket.identity = identity;
    socket.notAfterMs = notAfterMs;
    socket.connecting = true;
    this.clock.after(conditions.delayMs * 2, () => this.connect(socket, key, dice));
    return socket;
  }

  private connect(socket: SimSocket, key: string, dice: Dice): void {
    if (socket.destroyed || socket.process.isDead) return;
    if (socket.process.isFrozen) return socket.process.whenThawed(() => this.connect(socket, key, dice));
    const server = this.acceptor(key);
    if (server === undefined) return socket.fail('ECONNREFUSED');
    if (this.silent.has(key) || this.isCut(socket.process, server.process)) return;
    if (!socket.believes(server.process)) return socket.fail('CERT_HAS_EXPIRED');
    // Nobody may have listened there when it was dialled.
    socket.conditions = this.conditionsOf(socket.process, server.process);
    const there = new SimSocket(this, server.process, socket.conditions, dice.of('there'));
    there.other = socket;
    socket.other = there;
    there.identity = socket.identity;
    there.notAfterMs = socket.notAfterMs;
    there.peerRoot = socket.root;
    socket.peerRoot = this.identities.get(server.process)?.root ?? 0;
    there.root = socket.peerRoot;
    socket.connecting = false;
    this.touch(socket);
    // A frozen process has a backlog: the connection is there, and waits.
    if (server.process.isFrozen) server.process.whenThawed(() => server.accept(there));
    else server.accept(there);
    socket.tell('connect');
  }

  count(size: number): void {
    this.bytesRead += size;
    const time = Math.round(this.clock.now() * 1_000) | 0;
    this.readHash = (Math.imul(Math.imul(this.readHash, 31) + size, 31) + time) >>> 0;
  }

  /** Whether a socket waits for the next turn. */
  get isTouched(): boolean {
    return this.touched.size > 0;
  }

  touch(socket: SimSocket): void {
    this.touched.add(socket);
  }

  /** Looks at this socket again at a time. */
  wake(socket: SimSocket, atMs: number): void {
    this.clock.after(Math.max(0, atMs - this.clock.now()), () => this.touch(socket));
  }

  /** One turn: each connection moves on by one take and one read. False: nothing moved. */
  turn(): boolean {
    if (this.touched.size === 0) return false;
    const now = [...this.touched];
    this.touched = new Set();
    const from = now.length > 1 ? Math.floor(this.dice.next() * now.length) : 0;
    let moved = false;
    for (let i = 0; i < now.length; i++) {
      const socket = now[(from + i) % now.length]!;
      moved = socket.step() || moved;
      const { other } = socket;
      if (other !== null) moved = other.step() || moved;
    }
    return moved;
  }
}
