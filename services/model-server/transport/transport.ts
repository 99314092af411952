/** A server that carries the calls of a model server. */

import type { ServedMethod } from '../protocol/call.js';
import type { ListenAddress } from './listen.js';

/** 64 MiB of tensors and what surrounds them. */
export const MAX_MESSAGE_BYTES = 65 * 1024 * 1024;

/** A server that listens. */
export interface Transport {
  /** As a client dials it: `host:port` or `unix:/path`. */
  readonly target: string;
  /** Takes no new call; resolves when those in flight have ended. */
  stop(): Promise<void>;
  /** Ends what is still in flight. */
  abort(): void;
  /** Bytes of requests and responses that are held now, as far as this server counts them. */
  heldBytes(): number;
}

/** One line for people. */
export type Log = (line: string) => void;

/** What a transport needs to know beside what it serves, and where. */
export interface TransportOptions {
  readonly log: Log;
  /**
   * What requests that have come and are not answered, and responses that are not sent, may hold in all. Beyond it the calls
   * that hold most end with RESOURCE_EXHAUSTED.
   */
  readonly memoryBytes: number;
}

/** Rejects with an Error that says why the address cannot be listened on. Server reflection is added to the methods. */
export type StartTransport = (
  methods: readonly ServedMethod[],
  listen: ListenAddress,
  options: TransportOptions,
) => Promise<Transport>;
