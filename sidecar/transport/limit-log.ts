import type { Socket } from 'node:net';
import type { ConnectionState } from '../http2/connection-state.js';
import { INFORMATIONAL, type LimitName, type Meter, UNREAD_CONTROL_BYTES } from '../http2/limits.js';
import type { DataPlaneContext } from './context.js';

const GAP_MS = 10_000;

/** What a peer did and what is allowed, for the log. */
export interface LimitDetails {
  readonly found: string;
  readonly allowed: string;
  /** Where it is set; absent: nowhere. */
  readonly option?: string;
}

/**
 * Logs which limit a peer met, with what was found and what is allowed: a peer that is cut off without a line in the log
 * looks like a network that fails. Each limit has one line in ten seconds, with the number of times before that were not
 * logged. `identity`: the SPIFFE ID of the peer; empty where it has none.
 */
export function logLimit(
  context: DataPlaneContext,
  limit: LimitName,
  words: LimitDetails,
  socket: Socket,
  identity: string,
): void {
  const now = context.clock.now();
  const lines = context.stats.limitLines;
  const line = lines.get(limit) ?? { loggedMs: Number.NEGATIVE_INFINITY, unlogged: 0 };
  lines.set(limit, line);
  if (now - line.loggedMs < GAP_MS) {
    line.unlogged++;
    return;
  }
  const more = line.unlogged > 0 ? { unloggedBefore: line.unlogged } : {};
  line.loggedMs = now;
  line.unlogged = 0;
  const peer = { peer: addressOf(socket), ...(identity === '' ? {} : { identity }) };
  context.logger.warn({ limit, ...words, ...peer, ...more }, 'a peer went beyond a limit and was cut off');
}

/** What a connection was cut off for. */
export function limitDetails(c: ConnectionState, limit: LimitName): LimitDetails {
  const meter = (c.meters as Partial<Record<LimitName, Meter>>)[limit];
  if (meter !== undefined) {
    const { burst, perSecond } = meter.bucket;
    const forgiven = limit === 'pings' ? ', one more for each HEADERS or DATA written to the peer' : '';
    const name = OPTIONS[limit];
    return {
      found: `${meter.count} in ${Math.round(c.nowMs - meter.firstMs)} ms`,
      allowed: `${burst} at once, ${perSecond} a second${forgiven}`,
      ...(name === undefined ? {} : { option: `limits.frames_per_second.${name}` }),
    };
  }
  switch (limit) {
    case 'header-block-frames':
      return {
        found: `${c.blockFrames} frames with ${c.blockBytes} bytes`,
        allowed: `${c.maxBlockFrames} frames with ${c.maxBlockBytes} bytes`,
      };
    case 'unread-output':
      return { found: `${c.control.length} bytes`, allowed: `${UNREAD_CONTROL_BYTES} bytes` };
    case 'informational':
      return { found: 'more', allowed: `${INFORMATIONAL} to one request` };
    default:
      return { found: 'more', allowed: '' };
  }
}

const OPTIONS: Partial<Readonly<Record<LimitName, string>>> = {
  'rapid-resets': 'resets',
  pings: 'pings',
  settings: 'settings',
  'window-updates': 'window_updates',
  'empty-frames': 'empty',
  'idle-frames': 'ignored',
  violations: 'violations',
};

function addressOf({ remoteAddress, remotePort }: Socket): string {
  return remoteAddress === undefined ? 'local' : `${remoteAddress}:${remotePort ?? 0}`;
}
