/**
 * Reads what the engine says and holds it to RFC 9113: legal frames on legal streams, within the windows and limits of
 * the other side, every SETTINGS and PING answered, one GOAWAY with an error and then silence.
 */
import assert from 'node:assert/strict';
import * as h2 from '../h2-frames.js';
import { ErrorCode as E, Flag, type Frame, FrameReader, PREFACE, FrameType as T } from '../h2-frames.js';
import { isRequest, isTrailers, statusOf } from './lists.js';
import type { View, WireState } from './wire-state.js';

/** What the engine did about a frame, beside going on. */
export interface Reaction {
  readonly resets: { id: number; code: number }[];
  readonly goaways: { last: number; code: number }[];
}

export class Listener {
  frames = 0;
  /** The engine had a frame in pieces, so that it may have acted before the frame's end. */
  isCut = false;
  private readonly reader: FrameReader;
  private preface: Buffer | null;
  private block: { id: number; flags: number; parts: Buffer[] } | null = null;

  /** `isExact`: the engine is listened to after every single frame, so that nothing may have crossed. */
  constructor(
    private readonly w: WireState,
    private readonly isExact: boolean,
  ) {
    this.reader = new FrameReader();
    this.preface = w.role === 'client' ? Buffer.alloc(0) : null;
  }

  hear(bytes: Buffer): Reaction {
    const reaction: Reaction = { resets: [], goaways: [] };
    for (const frame of this.reader.push(this.afterPreface(bytes))) {
      this.frames++;
      this.take(frame, reaction);
    }
    if (this.block !== null) assert.fail('a header block is left unfinished at the end of a write');
    return reaction;
  }

  /** Frames without their meaning: nothing may follow the GOAWAY that ends the connection. */
  skim(bytes: Buffer, isOver: boolean): void {
    const frames = this.reader.push(this.afterPreface(bytes));
    const ends = frames.filter((frame) => frame.type === T.goaway && h2.errorCodeOf(frame) !== E.noError);
    assert.equal(ends.length, isOver ? 1 : 0);
    if (isOver) assert.equal(frames.at(-1), ends[0], 'something follows GOAWAY with an error');
  }

  private afterPreface(bytes: Buffer): Buffer {
    if (this.preface === null || bytes.length === 0) return bytes;
    assert.ok(bytes.subarray(0, PREFACE.length).equals(PREFACE), 'a client begins with the preface');
    this.preface = null;
    return bytes.subarray(PREFACE.length);
  }

  private take(frame: Frame, reaction: Reaction): void {
    const { w } = this;
    const { type, flags, streamId: id, payload } = frame;
    assert.ok(!w.isOver, `type ${type} after GOAWAY with an error`);
    assert.ok(payload.length <= w.them.maxFrame, `a frame of ${payload.length}`);
    if (!w.saidSettings) assert.ok(type === T.settings && !(flags & Flag.ack), 'SETTINGS come first');
    if (this.block !== null)
      assert.ok(type === T.continuation && id === this.block.id, 'a header block is interrupted');
    switch (type) {
      case T.data:
        return this.data(frame);
      case T.headers:
        assert.equal(flags & ~(Flag.endStream | Flag.endHeaders), 0);
        this.block = { id, flags, parts: [payload] };
        if (flags & Flag.endHeaders) this.whole();
        return;
      case T.continuation:
        assert.ok(this.block !== null, 'CONTINUATION of nothing');
        this.block.parts.push(payload);
        if (flags & Flag.endHeaders) this.whole();
        return;
      case T.rstStream:
        return this.reset(frame, reaction);
      case T.settings:
        return this.settings(frame);
      case T.ping:
        assert.deepEqual([id, payload.length], [0, 8]);
        if (flags & Flag.ack) assert.equal(payload.toString('hex'), w.pongsOwed.shift());
        return;
      case T.goaway: {
        const [last, code] = [payload.readUInt32BE(0), h2.errorCodeOf(frame)];
        assert.equal(id, 0);
        assert.ok(last <= w.goawaySaid, 'GOAWAY raises its last id');
        w.goawaySaid = last;
        if (code !== E.noError) w.isOver = true;
        reaction.goaways.push({ last, code });
        return;
      }
      case T.windowUpdate:
        return this.windowUpdate(frame);
      default:
        assert.fail(`a frame of type ${type}`);
    }
  }

  private settings({ flags, streamId, payload }: Frame): void {
    const { w } = this;
    assert.equal(streamId, 0);
    if (flags & Flag.ack) {
      assert.equal(payload.length, 0);
      w.acksOwed--;
      assert.ok(w.acksOwed >= 0, 'an acknowledgement of nothing');
      return;
    }
    assert.ok(!w.saidSettings, 'SETTINGS are said once');
    assert.equal(payload.length % 6, 0);
    w.saidSettings = true;
  }

  private data({ flags, streamId: id, payload }: Frame): void {
    const { w } = this;
    const view = this.sending(id);
    assert.ok(view.ourHeaders, 'DATA before HEADERS');
    assert.ok((flags & ~Flag.endStream) === 0);
    assert.ok(payload.length > 0 || flags & Flag.endStream, 'DATA of nothing that ends nothing');
    assert.ok(
      payload.length === 0 || payload.length <= view.ourWindow || view.isGuess,
      `DATA beyond the window of stream ${id}`,
    );
    assert.ok(payload.length <= w.ourWindow, 'DATA beyond the window of the connection');
    view.ours.update(payload);
    view.ourWindow -= payload.length;
    w.ourWindow -= payload.length;
    if (flags & Flag.endStream) this.end(view);
  }

  private end(view: View): void {
    view.weEnded = true;
    this.w.closeIfDone(view);
  }

  /** The stream, which must be one that we may send on. */
  private sending(id: number): View {
    let view = this.w.views.get(id);
    if (view === undefined && !this.isExact && !this.w.isIdle(id)) {
      view = this.w.open(id);
      view.isGuess = true;
    }
    assert.ok(view !== undefined, `stream ${id} has not been opened`);
    assert.ok(view.closed === '', `stream ${id} is closed: ${view.closed}`);
    assert.ok(!view.weEnded, `stream ${id} has been ended`);
    return view;
  }

  private whole(): void {
    const { w } = this;
    const { id, flags, parts } = this.block!;
    this.block = null;
    const fields = w.ourTable.decode(Buffer.concat(parts));
    const ends = (flags & Flag.endStream) !== 0;
    let view = w.views.get(id);
    if (view === undefined && w.role === 'client') {
      assert.equal(id, w.nextOurId, 'ids are given out in order');
      assert.ok(!w.goawayHeard, 'a stream is opened after GOAWAY');
      assert.ok(w.openCount < w.them.maxStreams, 'more streams than they allow');
      assert.ok(isRequest(fields));
      w.nextOurId += 2;
      view = w.open(id);
      view.ourHeaders = true;
    } else {
      view = this.sending(id);
      if (view.ourHeaders) assert.ok(ends && isTrailers(fields), 'trailers');
      else assert.ok(statusOf(fields) >= 200, 'a response');
      view.ourHeaders = true;
    }
    if (ends) this.end(view);
  }

  private reset(frame: Frame, reaction: Reaction): void {
    const { w } = this;
    const { streamId: id, payload } = frame;
    assert.equal(payload.length, 4);
    assert.ok(!w.isIdle(id), `RST_STREAM of the idle stream ${id}`);
    const code = h2.errorCodeOf(frame);
    const view = w.views.get(id);
    if (this.isExact) assert.notEqual(view?.closed, 'reset by us', `RST_STREAM of ${id} twice`);
    const crossed = this.isCut && view?.closed === 'ended' && code !== E.streamClosed;
    if (this.isExact && view !== undefined && view.closed !== '' && !crossed) {
      assert.deepEqual(
        [view.closed, code],
        ['reset by them', E.streamClosed],
        'RST_STREAM of a closed stream',
      );
    }
    if (this.isExact && code === E.noError) {
      const [early, unfinished] =
        w.role === 'server' ? [view!.weEnded, !view!.theyEnded] : [view!.theyEnded, !view!.weEnded];
      assert.ok(early && unfinished, 'NO_ERROR says that one side is done before the other');
    }
    w.close(id, 'reset by us');
    reaction.resets.push({ id, code });
  }

  private windowUpdate({ streamId: id, payload }: Frame): void {
    const { w } = this;
    assert.equal(payload.length, 4);
    const increment = payload.readUInt32BE(0);
    assert.ok(increment > 0 && increment <= 0x7fffffff);
    if (id === 0) {
      w.theirWindow += increment;
      assert.ok(w.theirWindow <= 0x7fffffff);
      return;
    }
    const view = w.views.get(id);
    assert.ok(view !== undefined, `WINDOW_UPDATE of stream ${id}, which was never open`);
    if (this.isExact && !this.isCut)
      assert.ok(view.closed === '' && !view.theyEnded, 'WINDOW_UPDATE for a stream that is at its end');
    view.theirWindow += increment;
    assert.ok(view.theirWindow <= 0x7fffffff);
  }
}
