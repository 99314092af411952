/**
 * The backend of every run: answers each well-formed request with messages and `grpc-status: 0`, and counts what it
 * executed. It reads no header fields (what it serves is decided by the port), so that it costs next to nothing;
 * the length of every request message is checked, and a malformed one is answered with INTERNAL.
 */

import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { PREFACE } from '../../../sidecar/http2/constants.js';
import { Deframer } from './deframer.js';
import { Peer } from './peer.js';
import { ANSWERS, type CallKind, messageOf, SMALL_MESSAGE_BYTES, TOKEN_MS } from './protocol.js';
import { stamped } from './stamp.js';

/** Messages a streaming call sends per turn of the event loop. */
const STREAM_BURST = 16;

function block(...parts: (number | string)[]): Buffer {
  const bytes = parts.map((p) =>
    typeof p === 'number' ? Buffer.from([p]) : Buffer.from(`${String.fromCharCode(p.length)}${p}`, 'latin1'),
  );
  return Buffer.concat(bytes);
}

/** Header blocks (RFC 7541 section 6). What comes first is put into the peer's table, what follows names it by index. */
const HEAD = {
  first: block(0x88, 0x5f, 'application/grpc'),
  second: block(0x88, 0xbe),
  later: block(0x88, 0xbf),
  untabled: block(0x88, 0x0f, 0x10, 'application/grpc'),
};
const TAIL = {
  first: block(0x40, 'grpc-status', '0'),
  later: block(0xbe),
  untabled: block(0x00, 'grpc-status', '0'),
  malformed: block(0x00, 'grpc-status', '13'),
};
const STREAMED = { frameBytes: SMALL_MESSAGE_BYTES, burst: STREAM_BURST, trailers: TAIL.untabled };
const TABLE_SIZE_ZERO = block(0x20);

const WHOLE = { frameBytes: 0, burst: Number.POSITIVE_INFINITY, trailers: TAIL.untabled };
const SMALL = messageOf(SMALL_MESSAGE_BYTES);
const LARGE = messageOf(ANSWERS.download.bytes);
const MANY = Buffer.concat(new Array<Buffer>(ANSWERS.stream.messages).fill(SMALL));

class BackendConnection extends Peer {
  private readonly calls = new Map<number, Deframer>();
  private prefaceLeft = PREFACE.length;
  private isOpen = true;
  /** How many of the two repeated fields the peer's table holds; -1 = it wants no table. */
  private tabled = 0;

  constructor(
    socket: Socket,
    private readonly kind: CallKind,
    private readonly count: () => void,
  ) {
    super(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.isOpen = false;
    });
    socket.on('data', (chunk: Buffer) => this.read(chunk));
    this.writeOpening();
  }

  private read(chunk: Buffer): void {
    const skip = Math.min(this.prefaceLeft, chunk.length);
    this.prefaceLeft -= skip;
    this.receive(chunk, skip);
  }

  protected onSettled(): void {
    if (this.peerTableBytes < 4096) this.tabled = -1;
  }

  protected onHeaders(id: number, endStream: boolean): void {
    if (endStream) this.answerMalformed(id);
    else this.calls.set(id, new Deframer());
  }

  protected onMessageBytes(id: number, buffer: Buffer, start: number, end: number, endStream: boolean): void {
    const call = this.calls.get(id);
    if (call === undefined) return;
    call.push(buffer, start, end);
    if (!endStream) return;
    this.calls.delete(id);
    if (call.messages === 1 && call.isAtBorder) this.answer(id);
    else this.answerMalformed(id);
  }

  protected onReset(id: number): void {
    this.calls.delete(id);
  }

  protected onGoaway(): void {}

  private answer(id: number): void {
    this.count();
    this.out.headers(id, this.head(), false);
    if (this.kind === 'stream') this.sender.send(id, MANY, STREAMED);
    else if (this.kind === 'download') this.sender.send(id, LARGE, WHOLE);
    else if (this.kind === 'tokens') this.speak(id, ANSWERS.tokens.messages);
    else this.sender.sendWhole(id, SMALL, this.tail());
  }

  /** One message now, and the others one at a time; each says when it was sent. */
  private speak(id: number, left: number): void {
    if (!this.isOpen) return;
    this.sender.sendFrame(id, stamped(SMALL, performance.now()));
    if (left === 1) this.out.headers(id, TAIL.untabled, true);
    else setTimeout(() => this.speak(id, left - 1), TOKEN_MS);
    this.out.flush();
  }

  private answerMalformed(id: number): void {
    this.out.headers(id, Buffer.concat([this.head(), TAIL.malformed]), true);
  }

  private head(): Buffer {
    if (this.tabled === 2) return HEAD.later;
    if (this.tabled === 1) return HEAD.second;
    if (this.tabled === 0) {
      this.tabled = 1;
      return HEAD.first;
    }
    if (this.tabled === -2) return HEAD.untabled;
    this.tabled = -2;
    return Buffer.concat([TABLE_SIZE_ZERO, HEAD.untabled]);
  }

  private tail(): Buffer {
    if (this.tabled < 0) return TAIL.untabled;
    if (this.tabled === 2) return TAIL.later;
    this.tabled = 2;
    return TAIL.first;
  }
}

/** A running backend. */
export type Backend = Awaited<ReturnType<typeof startBackend>>;

/** Listens on a free port of 127.0.0.1. */
export async function startBackend(kind: CallKind) {
  let executions = 0;
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    new BackendConnection(socket, kind, () => {
      executions++;
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.on('error', reject);
    server.listen(0, '127.0.0.1', 4096, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    executions: () => executions,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
