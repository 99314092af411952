/**
 * The wire between two sidecars, as a proxy in user space that does to connections what firewalls and bad lines do:
 * nothing arrives, one end is forgotten, little fits through, pieces come late. It sees only ciphertext.
 */

import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { type Random, systemRandom } from '../../../runtime/random.js';

export type Fault =
  | { readonly kind: 'none' }
  /** Nothing passes, on old connections or new ones; none is closed. */
  | { readonly kind: 'dark' }
  /** Bytes per second, of each direction of each connection. */
  | { readonly kind: 'narrow'; readonly bytesPerSecond: number }
  /** Every piece arrives so much later, ms. */
  | { readonly kind: 'late'; readonly byMs: number }
  /** So many of a hundred pieces have to be sent again, as TCP does it: what follows waits for them. */
  | { readonly kind: 'lossy'; readonly percent: number };

/** A lost piece is sent again after about a round trip, as what follows it tells the sender. */
const RESEND_MS = 20;
const TICK_MS = 20;

/** A TCP proxy whose faults can be switched. */
export class Wire {
  /** Connections that were taken so far, broken ones included: a connection that is replaced shows here. */
  accepted = 0;
  fault: Fault = { kind: 'none' };
  private readonly pairs = new Set<Pair>();

  private constructor(
    private readonly server: Server,
    /** Port of the far end. */
    private readonly to: number,
    private readonly random: Random,
  ) {}

  /** @param to port of the far end, on loopback. @param random which pieces are lost. */
  static async open(to: number, random: Random): Promise<Wire> {
    const server = createServer({ allowHalfOpen: true });
    const wire = new Wire(server, to, random);
    server.on('connection', (socket) => wire.take(socket));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return wire;
  }

  /** One to each of the addresses (`host:port` on loopback), in their order. */
  static openAll(addresses: readonly string[]): Promise<Wire[]> {
    return Promise.all(
      addresses.map((address) => Wire.open(Number(address.split(':').at(-1)), systemRandom)),
    );
  }

  /** Of the near end. */
  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Of the near end, `host:port`. */
  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  set(fault: Fault): void {
    this.fault = fault;
    for (const pair of this.pairs) pair.changed();
  }

  /** The far end of every connection is gone, and the near end is never told; new connections work. */
  forget(): void {
    for (const pair of this.pairs) pair.forget();
  }

  /** Every connection is broken, as both of its ends are told; new ones work. */
  cut(): void {
    for (const pair of this.pairs) pair.end();
  }

  async close(): Promise<void> {
    for (const pair of this.pairs) pair.end();
    await new Promise((resolve) => this.server.close(resolve));
  }

  isLost(percent: number): boolean {
    return this.random() * 100 < percent;
  }

  /** A connection from the near end gets one to the far end. */
  private take(near: Socket): void {
    this.accepted += 1;
    const pair = new Pair(near, connect({ host: '127.0.0.1', port: this.to, allowHalfOpen: true }), this);
    this.pairs.add(pair);
    near.once('close', () => {
      pair.end();
      this.pairs.delete(pair);
    });
  }
}

/** Two sockets that are one connection. */
class Pair {
  private isForgotten = false;
  private readonly flows: readonly Flow[];

  constructor(
    private readonly near: Socket,
    private readonly far: Socket,
    wire: Wire,
  ) {
    for (const socket of [near, far]) socket.setNoDelay(true).on('error', () => {});
    this.flows = [new Flow(near, far, wire), new Flow(far, near, wire)];
    far.once('close', () => {
      if (!this.isForgotten) near.destroy();
    });
  }

  changed(): void {
    for (const flow of this.flows) flow.pump();
  }

  forget(): void {
    this.isForgotten = true;
    this.far.destroy();
    for (const flow of this.flows) flow.lose();
  }

  end(): void {
    for (const flow of this.flows) flow.end();
    this.near.destroy();
    this.far.destroy();
  }
}

/** One direction. Reads only what the fault lets through, so that the sender feels it. */
class Flow {
  private timer: NodeJS.Timeout | undefined;
  private pausedUntilMs = 0;
  private allowance = 0;
  private filledMs = performance.now();
  private isOver = false;
  private isLosing = false;
  /** Pieces on their way, the oldest first: what is sent after them waits for them, whatever the fault is by then. */
  private readonly late: Buffer[] = [];
  private hasEnded = false;

  constructor(
    private readonly from: Socket,
    private readonly to: Socket,
    private readonly wire: Wire,
  ) {
    from.on('readable', () => this.pump());
    from.once('end', () => {
      this.hasEnded = true;
      if (this.late.length === 0) to.end();
    });
    to.on('drain', () => this.pump());
  }

  /** Passes on what the fault lets through now. */
  pump(): void {
    if (this.isLosing) while (this.from.read() !== null);
    if (this.isOver || this.isLosing || this.to.destroyed || this.to.writableNeedDrain) return;
    const { fault } = this.wire;
    if (fault.kind === 'dark' || (fault.kind !== 'late' && this.late.length > 0)) return;
    const waitMs = this.pausedUntilMs - performance.now();
    if (waitMs > 0) return this.later(waitMs);
    const size = fault.kind === 'narrow' ? this.fill(fault.bytesPerSecond) : undefined;
    if (size === 0) return this.later(TICK_MS);
    const wanted = size === undefined ? undefined : Math.min(size, this.from.readableLength);
    const piece: Buffer | null = this.from.read(wanted);
    if (piece === null || piece.length === 0) return;
    this.allowance -= piece.length;
    if (fault.kind === 'lossy' && this.wire.isLost(fault.percent)) {
      this.pausedUntilMs = performance.now() + RESEND_MS;
      this.from.unshift(piece);
      return this.later(RESEND_MS);
    }
    if (fault.kind === 'late') this.writeLater(piece, fault.byMs);
    else this.to.write(piece);
    if (fault.kind !== 'none' || this.from.readableLength > 0) this.later(0);
  }

  /** What is sent from now on is taken and goes nowhere. */
  lose(): void {
    this.isLosing = true;
    this.pump();
  }

  end(): void {
    this.isOver = true;
    clearTimeout(this.timer);
  }

  /** Bytes that may pass now: a bucket of two ticks. */
  private fill(bytesPerSecond: number): number {
    const nowMs = performance.now();
    const most = (bytesPerSecond * TICK_MS * 2) / 1_000;
    const more = ((nowMs - this.filledMs) * bytesPerSecond) / 1_000;
    this.allowance = Math.min(most, Math.max(0, this.allowance) + more);
    this.filledMs = nowMs;
    return Math.floor(this.allowance);
  }

  /** Pieces keep their order: each timer writes the oldest. */
  private writeLater(piece: Buffer, ms: number): void {
    this.late.push(piece);
    setTimeout(() => {
      const oldest = this.late.shift()!;
      if (!this.to.destroyed && !this.to.writableEnded) this.to.write(oldest);
      if (this.late.length > 0) return;
      if (this.hasEnded) this.to.end();
      else this.pump();
    }, ms).unref();
  }

  private later(ms: number): void {
    if (this.timer !== undefined) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.pump();
    }, ms);
  }
}
