/**
 * Rules about listeners: two of them cannot share an address, and none may be what the same sidecar calls.
 */
import { type Address, isSamePlace, wouldReach, writeAddress } from '../codecs/address.js';
import { formatPath } from '../problem.js';
import { address, entries, mapping } from './found.js';
import type { Report } from './option.js';

/** A place where the sidecar of a file listens, and the option that says so. */
export interface Listener {
  readonly path: (string | number)[];
  readonly address: Address;
}

/** Collects listeners; those that are absent or wrong in themselves are left out. */
export function listeners(...found: readonly [path: (string | number)[], place: unknown][]): Listener[] {
  return found.flatMap(([path, place]) => {
    const at = address(place);
    return at === undefined ? [] : [{ path, address: at }];
  });
}

/** Where the application calls: the listeners of a block with `shared` and `upstreams`, which stands at `above`. */
export function callListeners(above: readonly string[], calls: unknown): Listener[] {
  const { shared, upstreams } = mapping(calls);
  const own = entries(upstreams).flatMap(([name, { listen }]) =>
    listeners([[...above, 'upstreams', name, 'listen'], listen]),
  );
  return [...listeners([[...above, 'shared', 'listen'], mapping(shared)['listen']]), ...own];
}

/** Reports each listener at an address that an earlier one takes, once per option. */
export function refuseSharedPlaces(all: readonly Listener[], report: Report): void {
  const reported = new Set<string>();
  for (const [i, listener] of all.entries()) {
    const other = all.slice(0, i).find((earlier) => isSamePlace(earlier.address, listener.address));
    const path = formatPath(listener.path);
    if (other === undefined || reported.has(path)) continue;
    reported.add(path);
    report(
      listener.path,
      `found ${writeAddress(listener.address)}, which ${formatPath(other.path)} takes already (${writeAddress(other.address)}); expected another`,
    );
  }
}

/** A sidecar that calls its own listener passes a call round until its deadline. */
export function refuseCallingItself(
  all: readonly Listener[],
  path: (string | number)[],
  target: Address | undefined,
  report: Report,
): void {
  if (target === undefined) return;
  const own = all.find((listener) => wouldReach(target, listener.address));
  if (own === undefined) return;
  report(
    path,
    `found ${writeAddress(target)}, which is ${formatPath(own.path)} of this same sidecar; expected what stands behind it`,
  );
}
