import type { SidecarConfig } from '../config/model.js';
import type { MemoryReading } from '../core/admission/memory-pressure.js';
import type { ProxyAdoption } from '../discovery/consul/registration/adoption.js';
import type { ModelClientDeps } from '../health/model/grpc-client.js';
import type { LocalSettings } from '../http2/settings.js';
import type { IdentityFeed } from '../identity/identity.js';
import type { RuntimeDeps } from '../runtime/deps.js';
import type { Logger } from '../runtime/log/logger.js';
import type { ListenSockets } from '../runtime/process/listen-sockets.js';
import type { Metric } from '../telemetry/metric.js';
import type { DataPlaneContext } from '../transport/context.js';
import { Listener, type ListenerOptions } from '../transport/listener.js';
import type { Network } from '../transport/network.js';
import type { MeshIdentity } from './mesh-identity.js';

/**
 * What a sidecar gets from its process or from a test: time, chance, the log and the environment.
 */
export interface Deps extends RuntimeDeps, ModelClientDeps {
  readonly logger: Logger;
  readonly version: string;
  /** Process id; absent: not told, as in a test. */
  readonly pid?: number;
  /** Number of restarts by the parent process; absent: not known. */
  readonly restarts?: number;
  /** Environment of the process, for `CONSUL_*`. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Memory in use and its limit, for load shedding; absent: no shedding. */
  readonly readMemory?: () => MemoryReading;
  /**
   * Accepted connections with this file descriptor or a higher one are refused; absent: none are.
   */
  readonly firstReservedDescriptor?: number;
  /** Identities sent by `up`; absent: the certificate files are the only source. */
  readonly identityFeed?: IdentityFeed;
  /**
   * Inherited listening sockets, and the registry of own ones for a takeover; absent: listeners
   * bind their own.
   */
  readonly sockets?: ListenSockets;
  /** The registration that this sidecar is the proxy of, with `consul.adopt`. */
  readonly adoption?: ProxyAdoption | undefined;
  /** Where sockets come from, those to Consul's agent included; absent: the operating system. */
  readonly network?: Network;
  /** Name of this machine; absent: as the system says. */
  readonly host?: string;
  /** Metrics of the process for an export; absent: as the system says. */
  readonly readProcess?: () => Promise<readonly Metric[]>;
  /** Runs a function after all input of this turn of the event loop; absent: Node's own turns. */
  readonly defer?: (fn: () => void) => void;
  /** Opens an identity other than the one of the configuration; absent or undefined: the configuration says. */
  readonly openIdentity?: (context: AppContext) => MeshIdentity | undefined;
}

/** What the parts of one sidecar share. */
export interface AppContext {
  readonly deps: Deps;
  readonly dataPlane: DataPlaneContext;
  /** HTTP/2 settings of every connection. */
  readonly settings: LocalSettings;
  readonly limits: SidecarConfig['limits'];
}

/** Creates a listener, which is not bound yet. @param name of its socket, one of `SOCKET_NAMES`. */
export function openListener(
  context: AppContext,
  name: string,
  options: Pick<ListenerOptions, 'address' | 'tls' | 'admit' | 'onStream'>,
): Listener {
  const { firstReservedDescriptor, sockets } = context.deps;
  const socket = sockets === undefined ? {} : { socket: { name, from: sockets } };
  const limits =
    firstReservedDescriptor === undefined ? context.limits : { ...context.limits, firstReservedDescriptor };
  return new Listener({ ...options, ...socket, settings: context.settings, limits }, context.dataPlane);
}
