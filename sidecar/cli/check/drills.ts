import { writeAddress } from '../../config/codecs/address.js';
import { askAdmin } from '../admin-client.js';
import { drillsIn } from '../page/drills.js';
import type { Target } from '../status/status.js';
import { type Finding, warning } from './finding.js';

const TIMEOUT_MS = 2_000;

/**
 * Fault drills that are on: calls fail or are slow because that was asked for. A sidecar that does not answer has
 * a finding elsewhere.
 */
export async function checkDrills(targets: readonly Target[]): Promise<Finding[]> {
  const found = await Promise.all(
    targets.map(async ({ name, address }) => {
      try {
        const { status, body } = await askAdmin(address, '/faults', { timeoutMs: TIMEOUT_MS });
        if (status !== 200) return [];
        const at =
          address.kind === 'unix'
            ? `--unix-socket ${address.path} http://localhost`
            : `http://${writeAddress(address)}`;
        const next = `a fault drill is on: \`curl -X DELETE ${at}/faults\` ends it`;
        return drillsIn(body).map((sentence) => warning('drill', `${name}: ${sentence}`, next));
      } catch {
        return [];
      }
    }),
  );
  return found.flat();
}
