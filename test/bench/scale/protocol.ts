/** What the scale benchmark and its fleets say to each other. Plain data over the IPC channel of each child. */

export type FleetRequest =
  /** So many more sidecars, with these numbers on; resolves when each knows its upstream and is registered. */
  | { readonly do: 'grow'; readonly first: number; readonly count: number }
  | { readonly do: 'counts' }
  /** Resolves when each sidecar knows that the guest is there, or is not: when each has learned it, by `nowMs`. */
  | { readonly do: 'known'; readonly isThere: boolean }
  /** A replica that comes and goes, which is none of those that were grown. Resolves with the time at which it began, by `nowMs`. */
  | { readonly do: 'come' }
  | { readonly do: 'go' };

/** All sidecars of a fleet together. Bytes are those of sockets; with Kubernetes, those inside TLS and HTTP. */
export interface FleetCounts {
  readonly connections: number;
  readonly bytesIn: number;
  readonly cpuMs: number;
}

/** Address of the replica that comes and goes. */
export const GUEST_HOST = '10.254.0.1';

/** A clock that all processes of a machine share, ms. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
