/**
 * Clients that make a sidecar hold payload, and take nothing: within every limit of a connection, and on many of them.
 */

import { data, grpcMessage, Setting } from '../http2/h2-frames.js';
import { openRequest, unaryRequest } from '../http2/raw-client.js';
import type { RawPeer } from '../http2/raw-peer.js';
import type { AttackedSidecar, Side } from './attacked-sidecar.js';
import { Path } from './upstream-worker.js';

const MIB = 1 << 20;
/** As much as a stream's first window takes, less the frames before. */
const PARTIAL = Buffer.alloc(64 * 1024 - 100);

export interface HeldPayload {
  readonly connections: number;
  /** Of each connection. */
  readonly streams: number;
}

type Hold = (target: AttackedSidecar, side: Side, hoard: HeldPayload) => Promise<RawPeer[]>;

/** Answers of 200 KB to streams whose windows stay shut. */
export const holdResponses: Hold = (target, side, hoard) => {
  const calls = Array.from({ length: hoard.streams }, (_, k) => unaryRequest(2 * k + 1, Path.large));
  const fill = (peer: RawPeer) => peer.sendAll(Buffer.concat(calls));
  return occupy(target, side, hoard, fill, [[Setting.initialWindowSize, 0]]);
};

/** Requests that begin and never end. */
export const holdRequests: Hold = (target, side, hoard) => {
  const start = grpcMessage(Buffer.alloc(10), 4 * MIB);
  return occupy(target, side, hoard, async (peer) => {
    for (let k = 0; k < hoard.streams; k += 1) {
      const streamId = 2 * k + 1;
      peer.queue(streamId, openRequest(streamId, Path.large), data(streamId, start));
      peer.queueShared(streamId, PARTIAL);
      if (k % 25 === 24) await new Promise((resolve) => setImmediate(resolve));
    }
  });
};

async function occupy(
  target: AttackedSidecar,
  side: Side,
  { connections }: HeldPayload,
  fill: (peer: RawPeer) => Promise<unknown>,
  settings: readonly (readonly [number, number])[] = [],
): Promise<RawPeer[]> {
  const peers: RawPeer[] = [];
  for (let i = 0; i < connections; i += 1) {
    const peer = await target.attacker(side, { settings, replenish: false });
    peers.push(peer);
    await fill(peer);
  }
  return peers;
}

/** The most that `read` gave while `body` ran, looked at every few milliseconds. */
export async function peakDuring(read: () => number, body: () => Promise<unknown>): Promise<number> {
  let peak = read();
  const timer = setInterval(() => {
    peak = Math.max(peak, read());
  }, 20);
  try {
    await body();
  } finally {
    clearInterval(timer);
  }
  return Math.max(peak, read());
}
