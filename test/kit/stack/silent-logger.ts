import type { Logger } from '../../../sidecar/runtime/log/logger.js';

/** A logger that writes nothing. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  setLevel() {},
  flush() {},
};
