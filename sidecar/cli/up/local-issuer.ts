import type { MeshConfig } from '../../config/model.js';
import { LeafRenewal } from '../../identity/ca/leaf-renewal.js';
import { LocalCa } from '../../identity/ca/local-ca.js';
import { systemRandom } from '../../runtime/random.js';
import { systemClock } from '../../runtime/time/clock.js';
import { systemTimers } from '../../runtime/time/timers.js';
import type { RunDirectory } from './run-directory.js';

/**
 * A certificate authority in this process, for a mesh without Consul. Leaves lie in `identity/` of the run directory.
 *
 * @param onProblem called with one line for each certificate that could not be renewed or written.
 */
export async function localIssuer(
  mesh: MeshConfig,
  run: RunDirectory,
  onProblem: (line: string) => void,
): Promise<LeafRenewal> {
  const { trustDomain, datacenter, leafLifetimeMs } = mesh;
  return new LeafRenewal({
    ca: await LocalCa.create({ trustDomain, datacenter, wallNow: systemClock.wallNow }),
    directory: run.folder('identity'),
    leafLifetimeMs,
    onProblem,
    clock: systemClock,
    random: systemRandom,
    timers: systemTimers,
  });
}
