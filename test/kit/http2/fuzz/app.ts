/** The application behind the engine under test: it answers, sends, credits and resets as chance will have it. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Connection } from '../../../../sidecar/http2/connection.js';
import type { ConnectionHandler, Role } from '../../../../sidecar/http2/connection-state.js';
import type { HeaderBlock } from '../../../../sidecar/http2/hpack/header-list.js';
import type { LimitName } from '../../../../sidecar/http2/limits.js';
import type { LocalSettings } from '../../../../sidecar/http2/settings.js';
import type { Stream, StreamOwner } from '../../../../sidecar/http2/stream.js';
import { flushed, listOf, NONE } from '../connection-pair.js';
import type { Dice } from './dice.js';
import { EXTRA_FIELDS, REQUESTS, RESPONSES, TRAILER_LISTS } from './lists.js';

/** Codes an application resets with: none that the engine uses for what the peer did. */
const OWN_CODES = [8, 2];
const MOST_PENDING = 200_000;
/** No two places of it look alike, so that payload out of order is seen. */
const PAYLOAD = Buffer.from(Array.from({ length: 64 * 1024 }, (_, i) => (i * 167 + (i >> 8) * 31) & 255));

export class Owner implements StreamOwner {
  stream!: Stream;
  ends = 0;
  endings = 0;
  bytes = 0;
  held = 0;
  hasReset = false;
  hasHeaders = false;
  hasEnded = false;
  gotHeaders = 0;
  /** Of the payload received, and of the payload sent. */
  readonly digest = createHash('md5');
  readonly sentDigest = createHash('md5');

  constructor(private readonly app: App) {}

  onHeaders(_stream: Stream, _block: HeaderBlock, ended: boolean): void {
    this.gotHeaders++;
    if (ended) this.ends++;
    this.app.told(this);
  }
  onData(_stream: Stream, buffer: Buffer, start: number, end: number, ended: boolean): void {
    this.digest.update(buffer.subarray(start, end));
    this.bytes += end - start;
    this.held += end - start;
    if (ended) this.ends++;
    this.app.told(this);
  }
  onTrailers(): void {
    this.ends++;
    this.app.told(this);
  }
  onEnding(): void {
    this.endings++;
    this.app.told(this);
  }
  onSent(): void {
    this.app.told(this);
  }
}

export class App implements ConnectionHandler {
  readonly connection: Connection;
  readonly owners: Owner[] = [];
  readonly limits: LimitName[] = [];
  readonly defects: unknown[] = [];
  readonly fatal: string[] = [];
  /** An owner has failed the connection on purpose. */
  hasFailed = false;
  /** Answer the next request at once, whatever chance says. */
  isPrompt = false;
  private depth = 0;

  /** `temper`: how likely an owner is to act in the middle of being told something. */
  constructor(
    readonly role: Role,
    local: LocalSettings,
    private readonly dice: Dice,
    private readonly temper: number,
  ) {
    this.connection = new Connection(role, local, this);
    this.connection.start();
  }

  flush(room?: number): Buffer {
    return flushed(this.connection, room);
  }

  /** Something the application does of its own accord. */
  act(): void {
    const { dice } = this;
    const alive = this.owners.filter((owner) => !owner.stream.closed);
    if (this.role === 'client' && (alive.length === 0 || (alive.length < 60 && dice.chance(0.4))))
      this.open();
    else if (alive.length > 0) this.work(dice.pick(alive));
    if (dice.chance(0.01)) this.connection.ping();
    if (dice.chance(0.002)) this.connection.announceGoaway();
    if (dice.chance(0.001)) this.connection.finalGoaway();
    if (dice.chance(0.05)) this.connection.holdOutput();
  }

  open(prompt = false): Owner {
    const owner = new Owner(this);
    this.owners.push(owner);
    owner.stream = this.connection.openStream(owner);
    const list = this.dice.pick(REQUESTS);
    const extra = this.dice.chance(0.5) ? [this.dice.pick(EXTRA_FIELDS)] : [];
    owner.hasHeaders = true;
    owner.hasEnded = prompt || this.dice.chance(0.4);
    this.connection.sendHeaders(owner.stream, listOf([...list, ...extra]), NONE, owner.hasEnded);
    return owner;
  }

  work(owner: Owner): void {
    const { dice, connection } = this;
    const { stream } = owner;
    const what = dice.weighted([
      [6, 'send'],
      [3, 'credit'],
      [2, 'finish'],
      [0.3, 'reset'],
      [0.2, 'again'],
    ] as const);
    if (what === 'reset') {
      if (!stream.closed) owner.hasReset = true;
      connection.reset(stream, dice.pick(OWN_CODES));
    } else if (what === 'credit') {
      connection.credit(stream, owner.held, dice.chance(0.1) ? 200_000 : 0);
      owner.held = 0;
    } else if (what === 'again' || (!owner.hasEnded && !this.begin(owner))) {
      if (owner.hasHeaders) this.send(owner, what === 'finish');
    }
  }

  /** True when the answer began just now. */
  private begin(owner: Owner): boolean {
    if (owner.hasHeaders) return false;
    owner.hasHeaders = true;
    owner.hasEnded = this.isPrompt || this.dice.chance(0.2);
    this.connection.sendHeaders(owner.stream, listOf(this.dice.pick(RESPONSES)), NONE, owner.hasEnded);
    return true;
  }

  private send(owner: Owner, isLast: boolean): void {
    const { dice, connection } = this;
    const { stream } = owner;
    // What may wait is written by the next flush all the same.
    stream.isPatient = dice.chance(0.3);
    if (isLast && dice.chance(0.5)) connection.sendTrailers(stream, listOf(dice.pick(TRAILER_LISTS)), NONE);
    else {
      const n = stream.pendingBytes > MOST_PENDING ? 0 : dice.size(40_000);
      const at = dice.below(PAYLOAD.length - n);
      if (!stream.closed && !stream.localEnded) owner.sentDigest.update(PAYLOAD.subarray(at, at + n));
      // A read of its own, as a relay has it: nothing may rely on the rest of it.
      const read = n > 0 && dice.chance(0.5) ? Buffer.from(PAYLOAD.subarray(at, at + n)) : null;
      if (read !== null) connection.sendData(stream, read, 0, n, isLast);
      else connection.sendData(stream, PAYLOAD, at, at + n, isLast);
    }
    if (isLast) owner.hasEnded = true;
  }

  /** @internal */
  told(owner: Owner): void {
    if (this.depth > 3 || this.isPrompt || !this.dice.chance(this.temper)) return;
    this.depth++;
    if (this.dice.chance(0.01)) {
      this.hasFailed = true;
      this.connection.fail(2, 'an owner says so');
    } else this.work(this.dice.chance(0.7) || this.owners.length === 0 ? owner : this.dice.pick(this.owners));
    this.depth--;
  }

  // ---- ConnectionHandler ----

  onStream(stream: Stream, block: HeaderBlock, ended: boolean): void {
    const owner = new Owner(this);
    this.owners.push(owner);
    owner.stream = stream;
    stream.owner = owner;
    if (this.isPrompt) this.begin(owner);
    owner.onHeaders(stream, block, ended);
  }
  onPeerSettings(): void {}
  onPong(): void {}
  onGoaway(): void {}
  onRoom(): void {
    if (this.role !== 'client' || this.depth > 0 || !this.dice.chance(this.temper)) return;
    if (this.connection.capacity > 0) this.open();
  }
  onDirty(): void {}
  onUnread(): void {}
  onPatient(): void {
    assert.ok(this.connection.hasOutput, 'what waits is queued');
    if (this.dice.chance(0.2)) this.connection.releasePatient();
  }
  onLimit(name: LimitName): void {
    this.limits.push(name);
  }
  onFatal(_code: number, message: string): void {
    this.fatal.push(message);
  }
  onDefect(error: unknown): void {
    this.defects.push(error);
  }
}
