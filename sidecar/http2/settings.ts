import {
  ConnectionError,
  DEFAULT_MAX_FRAME,
  DEFAULT_WINDOW,
  ErrorCode,
  MAX_WINDOW,
  MODEL_READINESS,
  Readiness,
  Setting,
} from './constants.js';
import { BUCKETS, type Buckets } from './limits.js';

/** Settings of this side, bytes and counts (RFC 9113 section 6.5.2). */
export interface LocalSettings {
  readonly maxConcurrentStreams: number;
  readonly initialWindow: number;
  readonly maxFrame: number;
  /** Of a request; a client announces `maxResponseHeaderBytes` instead. */
  readonly maxHeaderBytes: number;
  /** Of a request. Responses may have `RESPONSE_FIELDS` more, which sidecars in between add. */
  readonly maxHeaderFields: number;
  /** Of a response's headers, or its trailers. */
  readonly maxResponseHeaderBytes: number;
  /** Connection-level window, raised by WINDOW_UPDATE right after the preface. */
  readonly connectionWindow: number;
  /** Rate limits for the peer; not announced. */
  readonly buckets: Buckets;
  /** What a server says of the model behind it; absent: nothing, and it is taken for one that serves. */
  readonly readiness?: Readiness;
}

/** Header bytes of one response that are accepted: a server may put an error with its stack trace into `grpc-message`. */
export const RESPONSE_HEADER_BYTES = 1024 * 1024;
/** So many more fields than a request has a response. */
export const RESPONSE_FIELDS = 16;

/** Settings where a configuration names none. */
export const DEFAULT_LOCAL_SETTINGS: LocalSettings = {
  maxConcurrentStreams: 256,
  initialWindow: 64 * 1024,
  maxFrame: DEFAULT_MAX_FRAME,
  maxHeaderBytes: 16_384,
  maxHeaderFields: 100,
  maxResponseHeaderBytes: RESPONSE_HEADER_BYTES,
  connectionWindow: 16 * 1024 * 1024,
  buckets: BUCKETS,
};

/** `PeerSettings.maxHeaderBytes` of a peer that announces no limit. */
export const UNLIMITED = 0xffffffff;

/** Settings of the peer; the RFC's initial values until it has announced its own. */
export class PeerSettings {
  headerTableSize = 4096;
  /** The smallest value the last SETTINGS frame gave it on the way to the final one (RFC 7541 section 4.2). */
  leastHeaderTableSize = 4096;
  maxConcurrentStreams = 0x7fffffff;
  initialWindow = DEFAULT_WINDOW;
  maxFrame = DEFAULT_MAX_FRAME;
  /** Bytes of a header list that it accepts (RFC 9113 section 10.5.1); advisory, and so for those who send lists to respect. */
  maxHeaderBytes = UNLIMITED;
  /** What it says of the model behind it. */
  readiness: Readiness = Readiness.serving;
}

/**
 * Applies one SETTINGS payload in order; unknown identifiers are ignored. Throws ConnectionError for a value that RFC 9113 section 6.5.2
 * forbids. @param mayPush largest ENABLE_PUSH that this peer may announce: 0 for a server.
 */
export function applySettings(
  peer: PeerSettings,
  buffer: Buffer,
  start: number,
  end: number,
  mayPush: 0 | 1,
): void {
  peer.leastHeaderTableSize = peer.headerTableSize;
  for (let at = start; at < end; at += 6) {
    const id = buffer.readUInt16BE(at);
    const value = buffer.readUInt32BE(at + 2);
    switch (id) {
      case Setting.headerTableSize:
        peer.headerTableSize = value;
        if (value < peer.leastHeaderTableSize) peer.leastHeaderTableSize = value;
        break;
      case Setting.enablePush:
        if (value > mayPush) throw new ConnectionError(ErrorCode.protocolError, `ENABLE_PUSH of ${value}`);
        break;
      case Setting.maxConcurrentStreams:
        peer.maxConcurrentStreams = value;
        break;
      case Setting.initialWindowSize:
        if (value > MAX_WINDOW)
          throw new ConnectionError(ErrorCode.flowControlError, 'INITIAL_WINDOW_SIZE above 2^31-1');
        peer.initialWindow = value;
        break;
      case Setting.maxFrameSize:
        if (value < DEFAULT_MAX_FRAME || value > 0xffffff)
          throw new ConnectionError(ErrorCode.protocolError, 'MAX_FRAME_SIZE outside 2^14..2^24-1');
        peer.maxFrame = value;
        break;
      case Setting.maxHeaderListSize:
        peer.maxHeaderBytes = value;
        break;
      case MODEL_READINESS:
        peer.readiness =
          value === Readiness.loading || value === Readiness.probation ? value : Readiness.serving;
        break;
    }
  }
}

export function settingsPayload(...settings: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.alloc(settings.length * 6);
  settings.forEach(([id, value], i) => {
    payload.writeUInt16BE(id, i * 6);
    payload.writeUInt32BE(value, i * 6 + 2);
  });
  return payload;
}

/** Payload of the first SETTINGS. A client allows no push; a server bounds the streams that its client may open. */
export function firstSettings(role: 'client' | 'server', local: LocalSettings): Buffer {
  return settingsPayload(
    role === 'client' ? [Setting.enablePush, 0] : [Setting.maxConcurrentStreams, local.maxConcurrentStreams],
    [Setting.initialWindowSize, local.initialWindow],
    [Setting.maxFrameSize, local.maxFrame],
    [Setting.maxHeaderListSize, role === 'client' ? local.maxResponseHeaderBytes : local.maxHeaderBytes],
    ...((local.readiness ?? 0) === Readiness.serving ? [] : [[MODEL_READINESS, local.readiness!] as const]),
  );
}
