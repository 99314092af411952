import assert from 'node:assert/strict';
import type { Drill } from '../../../../../sidecar/cli/chaos/drills/drill.js';
import { selectDrills } from '../../../../../sidecar/cli/chaos/run/selection.js';

const drill = (name: string, over: Partial<Drill> = {}): Drill => ({
  ...{ name, title: name, does: `Does ${name}.`, set: 'full', begin: async () => {} },
  ...over,
});
const A = drill('a');
const WIRED = drill('wired', { path: 'wired' });
const PROXIES = drill('proxies', { needs: 'proxies' });

describe('which drills are run with an arm', () => {
  const named = (hasProxies: boolean, repeats: number, drills: readonly Drill[] = [WIRED, A, PROXIES]) => {
    const { parts, missing } = selectDrills(drills, { hasProxies }, repeats);
    return { parts: parts.map(({ path, drills }) => [path, ...drills.map(({ name }) => name)]), missing };
  };

  it('are first those without wires, each of them before any is repeated', () => {
    assert.deepEqual(named(true, 2), {
      parts: [
        ['direct', 'a', 'proxies', 'a', 'proxies'],
        ['wired', 'wired', 'wired'],
      ],
      missing: [],
    });
  });

  it('are not those about proxies where there are none, and it is said why', () => {
    const because = 'there is no proxy that could be restarted';
    assert.deepEqual(named(false, 1), {
      parts: [
        ['direct', 'a'],
        ['wired', 'wired'],
      ],
      missing: [{ drill: 'proxies', because }],
    });
    assert.deepEqual(named(false, 3, [PROXIES]).parts, []);
  });
});
