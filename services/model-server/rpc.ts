/**
 * How a call ends when it does not end well: one error class with an exact gRPC status.
 * Handlers throw it or pass it on; everything else that is thrown is a defect and becomes INTERNAL.
 */

import { Status } from '../../sidecar/core/outcome/status.js';

/** The codes of gRPC. Not those of its library, which a model server loads only where it calls others. */
export const status = Status;

/** A gRPC status with its message and, optionally, trailing metadata (printable ASCII values). */
export class RpcError extends Error {
  readonly code: number;
  readonly trailers: Readonly<Record<string, string>>;

  constructor(code: number, message: string, trailers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.name = 'RpcError';
    this.code = code;
    this.trailers = trailers;
  }
}

/** An INVALID_ARGUMENT with this message: what was found, and what was expected. */
export function invalidArgument(message: string): RpcError {
  return new RpcError(status.INVALID_ARGUMENT, message);
}

/** The message of anything thrown, on one line. */
export function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/\s+/g, ' ').trim();
}
