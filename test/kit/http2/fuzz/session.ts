/**
 * One connection of the fuzzer: the peer speaks, the engine listens and answers, and after every step everything that
 * must hold is looked at. A session is its seed: the same seed does the same.
 */

import assert from 'node:assert/strict';
import type { Hash } from 'node:crypto';
import type { Role } from '../../../../sidecar/http2/connection-state.js';
import { ownBuffer } from '../../../../sidecar/http2/owned-buffer.js';
import { DEFAULT_LOCAL_SETTINGS, type LocalSettings } from '../../../../sidecar/http2/settings.js';
import { type Frame, frameAt, PREFACE, settings, settingsAck } from '../h2-frames.js';
import { App, type Owner } from './app.js';
import { Dice } from './dice.js';
import { checkAtEnd, checkHeld, checkSame } from './holds.js';
import { FINE, Judge, type Verdict } from './judge.js';
import { Listener, type Reaction } from './listener.js';
import { type Bytes, Peer } from './peer.js';
import { WireState } from './wire-state.js';

export type Figures = ReturnType<typeof noFigures>;

export const noFigures = () => ({
  sessions: 0,
  /** Frames that the engine was given, and gave. */
  framesIn: 0,
  framesOut: 0,
  bytesIn: 0,
  streams: 0,
  streamErrors: 0,
  connectionErrors: 0,
  limits: 0,
  canaries: 0,
});

/** A frame above the largest size. */
/** Bytes before a read that the engine may write over, and the buffer that several reads lie in. */
const HEADROOM = 9;
const SHARED_BYTES = 128 * 1024;
const TOO_LONG: Verdict = { ok: false, stream: [], connection: [6, 1] };

/** Codes that only the engine resets with, because of what the peer did. */
const VIOLATIONS = new Set([1, 3, 5, 6, 7, 11]);

export class Session {
  private readonly dice: Dice;
  private readonly app: App;
  private readonly wire: WireState;
  private readonly judge: Judge;
  private readonly listener: Listener;
  private readonly peer: Peer;
  /** After each frame the engine is listened to; otherwise after several. */
  private readonly isExact: boolean;
  /** Time stands still, so that limits are met. */
  private readonly isFast: boolean;
  private nowMs = 1_000;
  /** Bytes of a frame that is not whole yet, and how many of them the engine has. */
  private pending: Buffer = Buffer.alloc(0);
  /** Where reads lie side by side. */
  private shared: Buffer = Buffer.alloc(0);
  private sharedAt = 0;
  private given = 0;
  private isLost = false;

  constructor(
    private readonly seed: number,
    private readonly figures: Figures,
  ) {
    const dice = new Dice(seed);
    this.dice = dice;
    const role: Role = dice.chance(0.5) ? 'server' : 'client';
    this.isExact = dice.chance(0.8);
    this.isFast = dice.chance(0.1);
    const local: LocalSettings = {
      ...DEFAULT_LOCAL_SETTINGS,
      maxConcurrentStreams: dice.pick([5, 40, 256]),
      initialWindow: dice.pick([20_000, 65_535, 262_144]),
      connectionWindow: dice.pick([65_535, 200_000, 1 << 24]),
    };
    this.app = new App(role, local, dice, dice.pick([0, 0.05, 0.3]));
    this.wire = new WireState(role, local);
    this.judge = new Judge(this.wire);
    this.listener = new Listener(this.wire, this.isExact);
    this.peer = new Peer(this.wire, dice, dice.pick([0, 0.01, 0.03, 0.2]));
  }

  /** Throws an AssertionError that names the seed when anything does not hold. */
  run(steps: number): void {
    try {
      this.begin();
      for (let step = 0; step < steps && !this.isOver; step++) this.step();
      this.end();
    } catch (error) {
      if (error instanceof Error) error.message = `seed ${this.seed}: ${error.message}`;
      throw error;
    }
    this.figures.sessions++;
    this.figures.framesOut += this.listener.frames;
    this.figures.streams += this.app.owners.length;
    this.figures.limits += this.app.limits.length;
  }

  private get isOver(): boolean {
    return this.isLost || this.app.connection.state.isOver;
  }

  private begin(): void {
    this.listen();
    if (this.wire.role === 'server') {
      const preface = Buffer.from(PREFACE);
      const isBroken = this.dice.chance(0.01);
      if (isBroken) preface[this.dice.below(preface.length)]! ^= 4;
      this.give(preface);
      if (isBroken) return this.expect(this.listen(), { ok: false, stream: [], connection: [1] }, -1);
    }
    const first = this.dice.chance(0.85) ? [settings(), settingsAck()] : [settings()];
    if (this.dice.chance(0.97)) this.hearFrom({ bytes: Buffer.concat(first), suspect: false });
  }

  private step(): void {
    const { dice } = this;
    this.nowMs += this.isFast ? 0 : dice.below(60);
    if (this.pending.length > 0 || dice.chance(0.6)) {
      if (this.isExact && this.pending.length === 0 && dice.chance(0.05)) this.hearRun();
      else if (this.isExact) this.hearFrom(this.peer.next());
      else this.hearSeveral();
    } else {
      this.app.act();
      const reaction = this.listen();
      if (this.isExact) this.expect(reaction, FINE, -1);
    }
    this.check();
  }

  // ---- what the engine is given ----

  /** Bytes to the engine, cut at random. */
  private give(bytes: Buffer): void {
    const { dice } = this;
    this.figures.bytesIn += bytes.length;
    this.listener.isCut = false;
    for (let at = 0; at < bytes.length; ) {
      if (at > 0 || this.given > 0) this.listener.isCut = true;
      const n = dice.chance(0.7) ? bytes.length : 1 + dice.below(dice.chance(0.5) ? 12 : 5000);
      this.read(bytes.subarray(at, at + n));
      at += n;
    }
  }

  /** One read: in a buffer of its own, or behind the read before, with the room of a frame header between (RECORD_READS). */
  private read(bytes: Buffer): void {
    const { connection } = this.app;
    if (this.isFast || this.dice.chance(0.5))
      return void connection.receive(ownBuffer(Buffer.from(bytes)), this.nowMs);
    const size = HEADROOM + bytes.length;
    if (this.sharedAt + size > this.shared.length) {
      this.shared = Buffer.alloc(Math.max(SHARED_BYTES, size), 0xee);
      this.sharedAt = 0;
    }
    const start = this.sharedAt + HEADROOM;
    this.sharedAt += size;
    bytes.copy(this.shared, start);
    connection.receive(ownBuffer(this.shared), this.nowMs, start, this.sharedAt);
  }

  /** One frame at a time: each is judged, given, and the engine's reaction compared. */
  private hearFrom({ bytes, suspect }: Bytes): void {
    const isSuspect = suspect || this.pending.length > 0;
    this.pending = Buffer.concat([this.pending, bytes]);
    for (let frame = this.nextFrame(); frame !== null && !this.isOver; frame = this.nextFrame()) {
      const before = this.app.limits.length;
      const all = this.pending.length;
      const verdict = frame === 'too long' ? TOO_LONG : this.judge.judge(frame, isSuspect);
      const [size, id] = frame === 'too long' ? [all, -1] : [9 + frame.payload.length, frame.streamId];
      this.giveNext(size);
      this.expect(this.listen(), verdict, id, this.app.limits.slice(before));
      if (!verdict.ok && !this.isOver) this.canary();
    }
    if (!this.isOver && this.pending.length > this.given) {
      this.give(this.pending.subarray(this.given));
      this.given = this.pending.length;
    }
  }

  /** Frames in a row that are all valid, in one read or cut at random: the payload must arrive in order. */
  private hearRun(): void {
    const frames = this.peer.run();
    if (frames === null || this.judge.isInBlock || !this.wire.gotSettings) return;
    const digests = new Map<Owner, Hash>();
    for (const bytes of frames) {
      this.pending = bytes;
      const frame = this.nextFrame() as Frame;
      assert.ok(this.judge.judge(frame, false).ok);
      const { owner } = this.app.connection.state.table.get(frame.streamId)!;
      const one = this.app.owners.find((each) => each === owner)!;
      const digest = digests.get(one) ?? one.digest.copy();
      digests.set(one, digest.update(frame.payload));
    }
    this.pending = Buffer.alloc(0);
    this.give(Buffer.concat(frames));
    this.listener.isCut = true;
    this.expect(this.listen(), FINE, frames[0]!.readUInt32BE(5));
    for (const [one, digest] of digests) {
      if (!one.stream.closed)
        assert.equal(one.digest.copy().digest('hex'), digest.digest('hex'), 'payload in a run');
    }
  }

  private nextFrame(): Frame | 'too long' | null {
    const { pending } = this;
    const length = pending.length < 9 ? 0 : pending.readUIntBE(0, 3);
    if (length > DEFAULT_LOCAL_SETTINGS.maxFrame) return 'too long';
    const frame = frameAt(pending, 0);
    if (frame !== null) this.figures.framesIn++;
    return frame;
  }

  private giveNext(n: number): void {
    this.give(this.pending.subarray(this.given, n));
    this.pending = Buffer.from(this.pending.subarray(n));
    this.given = 0;
  }

  /** Several frames before the engine is listened to: what it should do is not known exactly, what it may not is. */
  private hearSeveral(): void {
    const several: Buffer[] = [this.pending.subarray(this.given)];
    let isJudged = true;
    for (let n = this.dice.between(1, 8); n > 0; n--) {
      const { bytes } = this.peer.next();
      several.push(bytes);
      this.pending = Buffer.concat([this.pending, bytes]);
      for (let frame = this.nextFrame(); frame !== null && isJudged; frame = this.nextFrame()) {
        if (frame === 'too long') isJudged = false;
        else {
          this.pending = Buffer.from(this.pending.subarray(9 + frame.payload.length));
          const verdict = this.judge.judge(frame, true);
          isJudged = verdict.ok || verdict.stream.length > 0;
        }
      }
    }
    this.given = this.pending.length;
    this.give(Buffer.concat(several));
    // From an error on, the onlooker and the engine may see things cross in a different order.
    if (isJudged) this.listen();
    else {
      this.listener.skim(this.app.flush(), this.isOver);
      this.isLost = true;
    }
  }

  // ---- what it does about it ----

  private listen(): Reaction {
    return this.listener.hear(this.app.flush(this.dice.chance(0.8) ? undefined : this.dice.below(20_000)));
  }

  private expect(reaction: Reaction, verdict: Verdict, id: number, limits: readonly string[] = []): void {
    const end = reaction.goaways.find(({ code }) => code !== 0);
    const resets = reaction.resets.filter(({ code }) => VIOLATIONS.has(code));
    this.figures.streamErrors += resets.length;
    if (end !== undefined) {
      this.figures.connectionErrors++;
      if (this.app.hasFailed) return;
      const cut = limits.some((name) => name !== 'concurrent-streams');
      const allowed = cut && end.code === 11 ? [11] : verdict.connection;
      const { fatal } = this.app;
      assert.ok(
        allowed.includes(end.code),
        `the connection ended with ${end.code} (${fatal}), not ${allowed}`,
      );
      return;
    }
    const mayGoOn = verdict.ok || verdict.stream.length > 0;
    assert.ok(mayGoOn, `the connection should have ended with ${verdict.connection}`);
    if (verdict.ok) return assert.deepEqual(resets, [], 'nothing was wrong');
    assert.equal(resets.length, 1, `stream ${id} should have been reset with ${verdict.stream}`);
    assert.equal(resets[0]!.id, id);
    const { code } = resets[0]!;
    assert.ok(verdict.stream.includes(code), `reset with ${code}, not ${verdict.stream}`);
  }

  /** After an error of one stream another one must work as ever. */
  private canary(): void {
    const { app, wire } = this;
    if (this.judge.isInBlock || this.pending.length > 0 || !wire.gotSettings || this.peer.isWorn) return;
    const isServer = wire.role === 'server';
    const isRoom = isServer
      ? wire.openCount < wire.limits.maxConcurrentStreams && wire.goawaySaid === 0x7fffffff
      : app.connection.capacity > 0 && !wire.goawayHeard;
    if (!isRoom) return;
    this.figures.canaries++;
    app.isPrompt = true;
    const owner = isServer ? null : app.open(true);
    if (!isServer) this.listener.hear(app.flush());
    const bytes = isServer ? this.peer.wellFormedRequest() : this.peer.wellFormedResponse(owner!.stream.id);
    const count = app.owners.length;
    this.hearFrom({ bytes, suspect: false });
    app.isPrompt = false;
    if (this.isOver) return;
    if (owner !== null)
      return assert.equal(owner.ends, owner.hasReset ? owner.ends : 1, 'the canary has its answer');
    assert.ok(app.owners.length > count, 'the canary was heard');
    this.listen();
    this.listener.hear(app.flush());
    const { stream } = app.owners[count]!;
    assert.ok(stream.closed || app.owners[count]!.hasReset || this.isOver, 'the canary was answered');
  }

  private check(): void {
    assert.deepEqual(this.app.defects, []);
    const isQuiet = this.pending.length === 0 && !this.isOver;
    if (this.isExact && isQuiet && this.dice.chance(0.2)) checkSame(this.app.connection.state, this.wire);
    if (this.dice.chance(0.1)) checkHeld(this.app, isQuiet);
    const { acksOwed, pongsOwed } = this.wire;
    if (isQuiet && this.isExact)
      assert.deepEqual([acksOwed, pongsOwed.length], [0, 0], 'SETTINGS and PING are answered');
  }

  private end(): void {
    const { app, dice } = this;
    if (dice.chance(0.3)) app.connection.fail(2, 'the end');
    else app.connection.abandon();
    if (this.isLost) return;
    this.listen();
    app.open();
    app.connection.receive(ownBuffer(settings()), this.nowMs);
    if (app.role === 'server') app.owners.pop();
    this.listener.hear(app.flush());
    assert.equal(app.flush().length, 0);
    assert.deepEqual(app.defects, []);
    checkAtEnd(app, this.wire, this.isExact);
  }
}
