/**
 * What RFC 9113 lets an endpoint do about a frame: nothing, an error of the stream, or an error of the connection.
 * Plain and slow on purpose; it shares nothing with the engine. One judgement for each frame, before the engine sees it.
 */
import { ErrorCode as E, Flag, type Frame, FrameType as T } from '../h2-frames.js';
import type { Field } from '../hpack-lite.js';
import { contentLength, isRequest, isTrailers, keptOf, listBytes, statusOf } from './lists.js';
import type { View, WireState } from './wire-state.js';

export interface Verdict {
  /** Nothing is said against it. */
  readonly ok: boolean;
  /** Codes with which the stream may be reset. */
  readonly stream: readonly number[];
  /** Codes with which the connection may end. */
  readonly connection: readonly number[];
}

/** Nothing is wrong. */
export const FINE: Verdict = { ok: true, stream: [], connection: [] };
const stream = (...codes: number[]): Verdict => ({ ok: false, stream: codes, connection: [] });
const connection = (...codes: number[]): Verdict => ({ ok: false, stream: [], connection: codes });

/** Frames that belong to a stream, and frames that belong to the connection. */
const ON_STREAMS: readonly number[] = [T.data, T.headers, T.priority, T.rstStream];
const ON_CONNECTIONS: readonly number[] = [T.settings, T.ping, T.goaway];

type How = 'ends' | 'selfDependent' | 'isOver';

const MAX = 0x7fffffff;
/** So many more fields than a request may a response have. */
const RESPONSE_FIELDS = 16;

export class Judge {
  private block: {
    id: number;
    flags: number;
    parts: Buffer[];
    selfDependent: boolean;
    suspect: boolean;
  } | null = null;

  constructor(private readonly w: WireState) {}

  /** `suspect`: the fuzzer has tampered with its bytes, so that HPACK may find a fault that a lenient decoder passes. */
  judge(frame: Frame, suspect: boolean): Verdict {
    const { w } = this;
    const { type, streamId: id, payload } = frame;
    if (!w.gotSettings && (type !== T.settings || frame.flags & Flag.ack))
      return connection(E.protocolError, E.frameSizeError);
    if (this.block !== null && (type !== T.continuation || id !== this.block.id))
      return connection(E.protocolError, E.frameSizeError);
    if (id === 0 ? ON_STREAMS.includes(type) : ON_CONNECTIONS.includes(type))
      return connection(E.protocolError);
    switch (type) {
      case T.data:
        return this.data(frame);
      case T.headers:
        return this.headers(frame, suspect);
      case T.continuation:
        return this.continuation(frame, suspect);
      case T.priority:
        return this.priority(frame);
      case T.rstStream:
        return this.reset(id, payload);
      case T.settings:
        return this.settings(frame);
      case T.pushPromise:
        return connection(E.protocolError);
      case T.ping:
        if (payload.length !== 8) return connection(E.frameSizeError);
        if (!(frame.flags & Flag.ack)) w.pongsOwed.push(payload.toString('hex'));
        return FINE;
      case T.goaway:
        return this.goaway(payload);
      case T.windowUpdate:
        return this.windowUpdate(id, payload);
      default:
        return FINE;
    }
  }

  get isInBlock(): boolean {
    return this.block !== null;
  }

  private late(id: number): Verdict {
    if (this.w.isForgotten(id)) return FINE;
    const view = this.w.views.get(id);
    if (view === undefined) return connection(E.protocolError);
    if (view.closed === 'reset by us') return FINE;
    return view.closed === 'reset by them' ? stream(E.streamClosed) : connection(E.streamClosed);
  }

  private data({ flags, streamId: id, payload }: Frame): Verdict {
    const { w } = this;
    w.theirWindow -= payload.length;
    if (w.theirWindow < 0) return connection(E.flowControlError);
    let n = payload.length;
    if (flags & Flag.padded) {
      if (n === 0) return connection(E.frameSizeError, E.protocolError, E.streamClosed);
      n -= 1 + payload[0]!;
      if (n < 0) return connection(E.protocolError, E.streamClosed);
    }
    if (w.isIdle(id)) return connection(E.protocolError);
    const view = w.openView(id);
    if (view === null) return this.late(id);
    if (view.theyEnded) return stream(E.streamClosed);
    if (!view.theirHeaders) return stream(E.protocolError);
    if (payload.length > view.theirWindow) return stream(E.flowControlError);
    view.theirWindow -= payload.length;
    const received = view.received + n;
    const ends = (flags & Flag.endStream) !== 0;
    if (view.expected >= 0 && (received > view.expected || (ends && received < view.expected)))
      return stream(E.protocolError);
    view.received = received;
    if (ends) this.end(view);
    return FINE;
  }

  private end(view: View): void {
    view.theyEnded = true;
    this.w.closeIfDone(view);
  }

  private headers({ flags, streamId: id, payload }: Frame, suspect: boolean): Verdict {
    let at = 0;
    let to = payload.length;
    if (flags & Flag.padded) {
      if (to === 0) return connection(E.frameSizeError, E.protocolError);
      to -= payload[0]!;
      at = 1;
    }
    let selfDependent = false;
    if (flags & Flag.priority) {
      if (payload.length - at < 5) return connection(E.frameSizeError, E.protocolError);
      selfDependent = (payload.readUInt32BE(at) & MAX) === id;
      at += 5;
    }
    if (to < at) return connection(E.protocolError);
    this.block = { id, flags, parts: [payload.subarray(at, to)], selfDependent, suspect };
    return flags & Flag.endHeaders ? this.whole() : FINE;
  }

  private continuation({ flags, payload }: Frame, suspect: boolean): Verdict {
    if (this.block === null) return connection(E.protocolError);
    this.block.parts.push(payload);
    this.block.suspect ||= suspect;
    return flags & Flag.endHeaders ? this.whole() : FINE;
  }

  private whole(): Verdict {
    const { id, flags, parts, selfDependent, suspect } = this.block!;
    this.block = null;
    let fields: Field[];
    try {
      fields = this.w.theirTable.decode(Buffer.concat(parts));
    } catch {
      return connection(E.compressionError);
    }
    const verdict = this.list(id, fields, (flags & Flag.endStream) !== 0, selfDependent);
    return suspect ? { ...verdict, connection: [...verdict.connection, E.compressionError] } : verdict;
  }

  private list(id: number, all: Field[], ends: boolean, selfDependent: boolean): Verdict {
    const { w } = this;
    const { maxHeaderBytes, maxResponseHeaderBytes, maxHeaderFields } = w.limits;
    const maxBytes = w.role === 'client' ? maxResponseHeaderBytes : maxHeaderBytes;
    const maxFields = w.role === 'client' ? maxHeaderFields + RESPONSE_FIELDS : maxHeaderFields;
    const isOver = listBytes(all) > maxBytes || all.length > maxFields;
    const fields = isOver ? keptOf(all, maxBytes, maxFields) : all;
    const view = w.openView(id);
    if (view === null) {
      if (w.role === 'server' && id > w.lastTheirId)
        return this.request(id, fields, { ends, selfDependent, isOver });
      return w.isIdle(id) ? connection(E.protocolError) : this.late(id);
    }
    if (selfDependent) return stream(E.protocolError);
    if (view.theyEnded) return stream(E.streamClosed);
    if (!view.theirHeaders) return this.response(view, fields, ends);
    if (!ends || !isTrailers(fields) || (view.expected >= 0 && view.expected !== view.received))
      return stream(E.protocolError);
    this.end(view);
    return FINE;
  }

  private request(id: number, fields: readonly Field[], how: Readonly<Record<How, boolean>>): Verdict {
    const { w } = this;
    const { ends, selfDependent, isOver } = how;
    if (id % 2 === 0) return connection(E.protocolError);
    w.lastTheirId = id;
    if (id > w.goawaySaid || w.openCount >= w.limits.maxConcurrentStreams) return stream(E.refusedStream);
    // One that is over the limits is answered, whatever it says.
    const isGood = isOver || (isRequest(fields) && !(ends && contentLength(fields) > 0));
    if (selfDependent || !isGood) return stream(E.protocolError);
    const view = w.open(id);
    view.theirHeaders = true;
    view.expected = isOver ? -1 : contentLength(fields);
    if (ends) this.end(view);
    return FINE;
  }

  private response(view: View, fields: readonly Field[], ends: boolean): Verdict {
    const status = statusOf(fields);
    if (status === 0) return stream(E.protocolError);
    if (status < 200) {
      if (ends || status === 101) return stream(E.protocolError);
      view.informational++;
      return FINE;
    }
    if (ends && contentLength(fields) > 0 && status !== 304) return stream(E.protocolError);
    view.theirHeaders = true;
    view.expected = contentLength(fields);
    if (ends) this.end(view);
    return FINE;
  }

  private priority({ streamId: id, payload }: Frame): Verdict {
    const view = this.w.openView(id);
    if (payload.length !== 5) return view === null ? connection(E.frameSizeError) : stream(E.frameSizeError);
    if ((payload.readUInt32BE(0) & MAX) !== id) return FINE;
    if (view !== null) return stream(E.protocolError);
    return this.w.isIdle(id) ? connection(E.protocolError) : FINE;
  }

  private reset(id: number, payload: Buffer): Verdict {
    if (payload.length !== 4) return connection(E.frameSizeError);
    if (this.w.isIdle(id)) return connection(E.protocolError);
    if (this.w.openView(id) !== null) this.w.close(id, 'reset by them');
    return FINE;
  }

  private settings({ flags, payload }: Frame): Verdict {
    const { w } = this;
    if (flags & Flag.ack) {
      if (payload.length !== 0) return connection(E.frameSizeError);
      w.acknowledge();
      return FINE;
    }
    if (payload.length % 6 !== 0) return connection(E.frameSizeError);
    const before = w.them.initialWindow;
    for (let at = 0; at < payload.length; at += 6) {
      const [id, value] = [payload.readUInt16BE(at), payload.readUInt32BE(at + 2)];
      if (id === 2 && value > (w.role === 'server' ? 1 : 0)) return connection(E.protocolError);
      if (id === 3) w.them.maxStreams = value;
      if (id === 4) {
        if (value > MAX) return connection(E.flowControlError);
        w.them.initialWindow = value;
      }
      if (id === 5) {
        if (value < 16_384 || value > 0xffffff) return connection(E.protocolError);
        w.them.maxFrame = value;
      }
    }
    for (const view of w.openViews()) {
      view.ourWindow += w.them.initialWindow - before;
      if (view.ourWindow > MAX) return connection(E.flowControlError);
    }
    w.gotSettings = true;
    w.acksOwed++;
    return FINE;
  }

  private goaway(payload: Buffer): Verdict {
    const { w } = this;
    if (payload.length < 8) return connection(E.frameSizeError);
    w.goawayHeard = true;
    if (w.role === 'client') {
      const last = payload.readUInt32BE(0) & MAX;
      // What they will not process is closed for us too; nothing is said of it.
      for (const view of w.openViews()) if (view.id > last) w.close(view.id, 'reset by us');
    }
    return FINE;
  }

  private windowUpdate(id: number, payload: Buffer): Verdict {
    const { w } = this;
    if (payload.length !== 4) return connection(E.frameSizeError);
    const increment = payload.readUInt32BE(0) & MAX;
    if (id === 0) {
      if (increment === 0) return connection(E.protocolError);
      w.ourWindow += increment;
      return w.ourWindow > MAX ? connection(E.flowControlError) : FINE;
    }
    if (w.isIdle(id)) return connection(E.protocolError);
    const view = w.openView(id);
    if (view === null) return FINE;
    if (increment === 0) return stream(E.protocolError);
    if (view.ourWindow + increment > MAX) return stream(E.flowControlError);
    view.ourWindow += increment;
    return FINE;
  }
}
