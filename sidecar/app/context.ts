/** What every part of a running sidecar is given. */

import type { FrameRates, SidecarConfig } from '../config/model.js';
import type { MemoryReading } from '../core/admission/memory-pressure.js';
import { type Buckets, bucketsOf } from '../http2/limits.js';
import type { LocalSettings } from '../http2/settings.js';
import type { IdentityFeed } from '../identity/identity.js';
import type { Logger } from '../runtime/log/logger.js';
import type { ListenSockets } from '../runtime/process/listen-sockets.js';
import type { Random } from '../runtime/random.js';
import type { Clock } from '../runtime/time/clock.js';
import type { Timers } from '../runtime/time/timers.js';
import type { DataPlaneContext } from '../transport/context.js';
import { Listener, type ListenerOptions } from '../transport/listener.js';

export interface Deps {
  readonly clock: Clock;
  readonly random: Random;
  readonly timers: Timers;
  readonly logger: Logger;
  readonly version: string;
  /** How often this sidecar was started again. Absent: not known. */
  readonly restarts?: number;
  /** The process's environment, for the variables of other programs that we honour (CONSUL_*). */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What the process holds and may hold; absent: memory is not looked after. */
  readonly readMemory?: () => MemoryReading;
  /** Accepted connections with this file descriptor or a higher one are refused; absent: none is. */
  readonly firstReservedDescriptor?: number;
  /** Absent: an identity in files comes from its files alone. */
  readonly identityFeed?: IdentityFeed;
  /** Sockets that listeners may find open, and those they make. Absent: they make all. */
  readonly sockets?: ListenSockets;
}

export interface AppContext {
  readonly deps: Deps;
  readonly dataPlane: DataPlaneContext;
  readonly settings: LocalSettings;
  readonly limits: SidecarConfig['limits'];
}

/** `name`: of its socket, one of `SOCKET_NAMES`. */
/** The rates of a configuration under the names of the limits they are. */
export function frameBuckets(rates: FrameRates): Buckets {
  return bucketsOf({
    pings: rates.pings,
    'rapid-resets': rates.resets,
    settings: rates.settings,
    'window-updates': rates.windowUpdates,
    'empty-frames': rates.empty,
    'idle-frames': rates.ignored,
    violations: rates.violations,
  });
}

export function openListener(
  context: AppContext,
  name: string,
  options: Pick<ListenerOptions, 'address' | 'tls' | 'onStream'>,
): Listener {
  const { firstReservedDescriptor, sockets } = context.deps;
  const socket = sockets === undefined ? {} : { socket: { name, from: sockets } };
  const limits =
    firstReservedDescriptor === undefined ? context.limits : { ...context.limits, firstReservedDescriptor };
  return new Listener({ ...options, ...socket, settings: context.settings, limits }, context.dataPlane);
}
