/** RFC 9113 section 6. */
export const FrameType = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

/** Flags of frames, RFC 9113 section 6. */
export const Flag = { endStream: 0x1, ack: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 } as const;

/** RFC 9113 section 7. */
export const ErrorCode = {
  noError: 0,
  protocolError: 1,
  internalError: 2,
  flowControlError: 3,
  settingsTimeout: 4,
  streamClosed: 5,
  frameSizeError: 6,
  refusedStream: 7,
  cancel: 8,
  compressionError: 9,
  connectError: 10,
  enhanceYourCalm: 11,
  inadequateSecurity: 12,
  http11Required: 13,
} as const;

/** RFC 9113 section 6.5.2. */
export const Setting = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
} as const;

/**
 * A setting of Outrider: what a server says of the model behind it, a value of `Readiness`. In the range of IANA's registry for
 * experiments (0xf000 to 0xffff); other peers ignore it, as RFC 9113 section 6.5.2 demands.
 */
export const MODEL_READINESS = 0xf0a7;

/**
 * Values of `MODEL_READINESS`; a peer takes any other one for `serving`, as a sidecar of an earlier version does with `probation`.
 * `probation`: the model serves, its process before this one died, and this one has not been up for long.
 */
export const Readiness = { serving: 0, loading: 1, probation: 2 } as const;
export type Readiness = (typeof Readiness)[keyof typeof Readiness];

/** RFC 9113 section 4.1. */
export const FRAME_HEADER_BYTES = 9;
/** Initial values and bounds of RFC 9113 sections 6.5.2 and 6.9.1, bytes. */
export const DEFAULT_WINDOW = 65_535;
export const DEFAULT_MAX_FRAME = 16_384;
export const MAX_WINDOW = 0x7fffffff;
export const MAX_STREAM_ID = 0x7fffffff;

/** A client's connection preface, RFC 9113 section 3.4. */
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** A violation that ends the whole connection (RFC 9113 section 5.4.1); thrown within the engine only. */
export class ConnectionError extends Error {
  constructor(
    readonly code: number,
    message: string,
  ) {
    super(message);
  }
}
