/**
 * One HTTP/2 connection of the load process, either end: the frame loop, the connection's own frames and flow
 * control. Built for one purpose, to cost far less than any proxy it measures: it keeps no stream state of its own,
 * and everything written while one chunk is read goes out in one write.
 */

import type { Socket } from 'node:net';
import { Flag, FrameType, Setting } from '../../../sidecar/http2/constants.js';
import { FrameReader, type FrameReceiver } from '../../../sidecar/http2/frame-reader.js';
import { ownBuffer } from '../../../sidecar/http2/owned-buffer.js';
import { BodySender } from './body-sender.js';
import { Outbox } from './outbox.js';

/** What this end lets the other send: never the limit in these runs, so that no WINDOW_UPDATE is needed per call. */
const STREAM_WINDOW = 16 * 1024 * 1024;
const CONNECTION_WINDOW = 0x7fffffff - 65535;
const REPLENISH_BYTES = 1 << 29;

/** One end of an HTTP/2 connection: settings, windows and frames, as far as the load needs them. */
export abstract class Peer implements FrameReceiver {
  maxConcurrent = Number.POSITIVE_INFINITY;
  protected readonly out = new Outbox(this.socket);
  protected readonly sender = new BodySender(this.out);
  protected peerTableBytes = 4096;
  private readonly reader = new FrameReader(this, 16384);
  private settled = false;
  private consumed = 0;
  private dataId = 0;
  private dataFlags = 0;
  private block: Buffer | null = null;
  private blockEnds = false;

  constructor(protected readonly socket: Socket) {
    socket.setNoDelay(true);
  }

  protected abstract onHeaders(
    id: number,
    endStream: boolean,
    block: Buffer,
    start: number,
    end: number,
  ): void;
  protected abstract onMessageBytes(
    id: number,
    buffer: Buffer,
    start: number,
    end: number,
    endStream: boolean,
  ): void;
  protected abstract onReset(id: number, code: number): void;
  protected abstract onGoaway(code: number): void;
  /** The other end's first SETTINGS have come. */
  protected abstract onSettled(): void;

  /** Feeds what was read, from `from` on, and writes everything it gave rise to. */
  protected receive(chunk: Buffer, from: number): void {
    this.reader.read(ownBuffer(chunk), from, chunk.length);
    this.out.flush();
  }

  protected writeOpening(): void {
    this.out.frameHead(18, FrameType.settings, 0, 0);
    this.setting(Setting.enablePush, 0);
    this.setting(Setting.maxConcurrentStreams, 4096);
    this.setting(Setting.initialWindowSize, STREAM_WINDOW);
    this.windowUpdate(CONNECTION_WINDOW);
  }

  protected writeReset(id: number, code: number): void {
    this.sender.forget(id);
    this.out.frameHead(4, FrameType.rstStream, 0, id);
    this.out.uint32(code);
  }

  onFrame(type: number, flags: number, id: number, buffer: Buffer, start: number, end: number): void {
    switch (type) {
      case FrameType.headers:
        this.readHeaders(flags, id, buffer, start, end);
        break;
      case FrameType.continuation:
        this.readContinuation(flags, id, buffer, start, end);
        break;
      case FrameType.settings:
        if ((flags & Flag.ack) === 0) this.readSettings(buffer, start, end);
        break;
      case FrameType.windowUpdate:
        this.sender.credit(id, buffer.readUInt32BE(start) & 0x7fffffff);
        break;
      case FrameType.ping:
        if ((flags & Flag.ack) !== 0) break;
        this.out.frameHead(8, FrameType.ping, Flag.ack, 0);
        this.out.copy(buffer, start, end);
        break;
      case FrameType.rstStream:
        this.sender.forget(id);
        this.onReset(id, buffer.readUInt32BE(start));
        break;
      case FrameType.goaway:
        this.onGoaway(buffer.readUInt32BE(start + 4));
        break;
    }
  }

  /** Frames are taken one by one here: what the load costs must not depend on how the subject frames its answers. */
  onDataRun(): boolean {
    return false;
  }

  onDataStart(flags: number, id: number, length: number): void {
    this.dataId = id;
    this.dataFlags = flags;
    this.consumed += length;
    if (this.consumed > REPLENISH_BYTES) {
      this.windowUpdate(this.consumed);
      this.consumed = 0;
    }
  }

  onDataBytes(buffer: Buffer, start: number, end: number, last: boolean): void {
    this.onMessageBytes(this.dataId, buffer, start, end, last && (this.dataFlags & Flag.endStream) !== 0);
  }

  onOversize(type: number, id: number, length: number): void {
    throw new Error(`frame of type ${type} on stream ${id} is ${length} bytes long`);
  }

  private readHeaders(flags: number, id: number, buffer: Buffer, start: number, end: number): void {
    let from = start;
    let to = end;
    if ((flags & Flag.padded) !== 0) to -= buffer[from++]!;
    if ((flags & Flag.priority) !== 0) from += 5;
    const ends = (flags & Flag.endStream) !== 0;
    if ((flags & Flag.endHeaders) !== 0) {
      this.onHeaders(id, ends, buffer, from, to);
      return;
    }
    this.block = Buffer.from(buffer.subarray(from, to));
    this.blockEnds = ends;
  }

  private readContinuation(flags: number, id: number, buffer: Buffer, start: number, end: number): void {
    const block = Buffer.concat([this.block ?? Buffer.alloc(0), buffer.subarray(start, end)]);
    this.block = block;
    if ((flags & Flag.endHeaders) === 0) return;
    this.block = null;
    this.onHeaders(id, this.blockEnds, block, 0, block.length);
  }

  private readSettings(buffer: Buffer, start: number, end: number): void {
    for (let at = start; at + 6 <= end; at += 6) {
      const id = buffer.readUInt16BE(at);
      const value = buffer.readUInt32BE(at + 2);
      if (id === Setting.headerTableSize) this.peerTableBytes = value;
      else if (id === Setting.maxConcurrentStreams) this.maxConcurrent = value;
      else if (id === Setting.initialWindowSize) this.sender.setStreamWindow(value);
    }
    this.out.frameHead(0, FrameType.settings, Flag.ack, 0);
    if (this.settled) return;
    this.settled = true;
    this.onSettled();
  }

  private setting(id: number, value: number): void {
    this.out.uint16(id);
    this.out.uint32(value);
  }

  private windowUpdate(bytes: number): void {
    this.out.frameHead(4, FrameType.windowUpdate, 0, 0);
    this.out.uint32(bytes);
  }
}
