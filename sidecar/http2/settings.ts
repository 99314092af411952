/** SETTINGS: what we announce, and what the peer announced, checked as RFC 9113 section 6.5.2 asks. */

import {
  ConnectionError,
  DEFAULT_MAX_FRAME,
  DEFAULT_WINDOW,
  ErrorCode,
  MAX_WINDOW,
  Setting,
} from './constants.js';
import { BUCKETS, type Buckets } from './limits.js';

/** What this side announces. Bytes and counts. */
export interface LocalSettings {
  readonly maxConcurrentStreams: number;
  readonly initialWindow: number;
  readonly maxFrame: number;
  readonly maxHeaderBytes: number;
  readonly maxHeaderFields: number;
  /** Connection-level window, raised by WINDOW_UPDATE right after the preface. */
  readonly connectionWindow: number;
  /** What the peer may do, by kind; not announced. */
  readonly buckets: Buckets;
}

export const DEFAULT_LOCAL_SETTINGS: LocalSettings = {
  maxConcurrentStreams: 256,
  initialWindow: 64 * 1024,
  maxFrame: DEFAULT_MAX_FRAME,
  maxHeaderBytes: 16_384,
  maxHeaderFields: 100,
  connectionWindow: 16 * 1024 * 1024,
  buckets: BUCKETS,
};

/** What the peer announced so far; the RFC's initial values until then. */
export class PeerSettings {
  headerTableSize = 4096;
  /** The smallest value the last SETTINGS frame gave it on the way to the final one (RFC 7541 section 4.2). */
  leastHeaderTableSize = 4096;
  maxConcurrentStreams = 0x7fffffff;
  initialWindow = DEFAULT_WINDOW;
  maxFrame = DEFAULT_MAX_FRAME;
  maxHeaderBytes = 0x7fffffff;
}

/**
 * Applies one SETTINGS payload in order; unknown identifiers are ignored. `mayPush`: the largest ENABLE_PUSH this peer
 * may announce (a server: 0). Throws ConnectionError.
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
        if (value > MAX_WINDOW) {
          throw new ConnectionError(ErrorCode.flowControlError, 'INITIAL_WINDOW_SIZE above 2^31-1');
        }
        peer.initialWindow = value;
        break;
      case Setting.maxFrameSize:
        if (value < DEFAULT_MAX_FRAME || value > 0xffffff) {
          throw new ConnectionError(ErrorCode.protocolError, 'MAX_FRAME_SIZE outside 2^14..2^24-1');
        }
        peer.maxFrame = value;
        break;
      case Setting.maxHeaderListSize:
        peer.maxHeaderBytes = value;
        break;
    }
  }
}

function entry(payload: Buffer, index: number, id: number, value: number): void {
  payload.writeUInt16BE(id, index * 6);
  payload.writeUInt32BE(value, index * 6 + 2);
}

/** The SETTINGS payload a server sends first. */
export function serverSettings(local: LocalSettings): Buffer {
  const payload = Buffer.alloc(24);
  entry(payload, 0, Setting.maxConcurrentStreams, local.maxConcurrentStreams);
  entry(payload, 1, Setting.initialWindowSize, local.initialWindow);
  entry(payload, 2, Setting.maxFrameSize, local.maxFrame);
  entry(payload, 3, Setting.maxHeaderListSize, local.maxHeaderBytes);
  return payload;
}

/** The SETTINGS payload a client sends first: no push. */
export function clientSettings(local: LocalSettings): Buffer {
  const payload = Buffer.alloc(24);
  entry(payload, 0, Setting.enablePush, 0);
  entry(payload, 1, Setting.initialWindowSize, local.initialWindow);
  entry(payload, 2, Setting.maxFrameSize, local.maxFrame);
  entry(payload, 3, Setting.maxHeaderListSize, local.maxHeaderBytes);
  return payload;
}

/** A SETTINGS payload that changes the window of new streams alone. */
export function windowSetting(bytes: number): Buffer {
  const payload = Buffer.alloc(6);
  entry(payload, 0, Setting.initialWindowSize, bytes);
  return payload;
}
