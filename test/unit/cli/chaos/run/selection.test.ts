import assert from 'node:assert/strict';
import type { Arm } from '../../../../../sidecar/cli/chaos/arms/arm.js';
import type { Drill } from '../../../../../sidecar/cli/chaos/drills/drill.js';
import { runnableOf, selectDrills } from '../../../../../sidecar/cli/chaos/run/selection.js';

const drill = (name: string, over: Partial<Drill> = {}): Drill => ({
  ...{ name, title: name, does: `Does ${name}.`, set: 'full', begin: async () => {} },
  ...over,
});
const A = drill('a');
const WIRED = drill('wired', { path: 'wired' });
const PROXIES = drill('proxies', { needs: 'proxies' });

describe('which drills are run with an arm', () => {
  const named = (hasProxies: boolean, repeats: number, drills: readonly Drill[] = [WIRED, A, PROXIES]) => {
    const { parts, untouched } = selectDrills(drills, { name: 'envoy', hasProxies }, repeats);
    return { parts: parts.map(({ path, drills }) => [path, ...drills.map(({ name }) => name)]), untouched };
  };

  it('are first those without wires, each of them before any is repeated', () => {
    assert.deepEqual(named(true, 2), {
      parts: [
        ['direct', 'a', 'proxies', 'a', 'proxies'],
        ['wired', 'wired', 'wired'],
      ],
      untouched: [],
    });
  });

  it('are not those about proxies where there are none, and it is said why', () => {
    const because = 'there is no proxy that could be restarted';
    assert.deepEqual(named(false, 1), {
      parts: [
        ['direct', 'a'],
        ['wired', 'wired'],
      ],
      untouched: [{ drill: 'proxies', because }],
    });
    assert.deepEqual(named(false, 3, [PROXIES]).parts, []);
  });

  it('are together where they need the same of a mesh, and not those that the arm has nothing for', () => {
    const gone = drill('gone', { equipment: 'consul', untouched: { 'pick-first': 'it asks no Consul' } });
    const lying = drill('lying', { equipment: 'consul', untouched: { envoy: 'it asks no Consul' } });
    assert.deepEqual(named(true, 1, [gone, WIRED, A, lying]), {
      parts: [
        ['direct', 'gone'],
        ['direct', 'a'],
        ['wired', 'wired'],
      ],
      untouched: [{ drill: 'lying', because: 'it asks no Consul' }],
    });
  });
});

const arm = (name: Arm['name'], missing?: string): Arm => ({
  ...{ name, about: '', hasProxies: false },
  missing: async () => missing,
  start: () => Promise.reject(new Error('nothing is started')),
});

describe('what of a run can be run here', () => {
  it('is all but drills and arms that lack something, each of which is told once', async () => {
    const lines: string[] = [];
    const { arms, drills, skipped } = await runnableOf(
      {
        drills: [
          drill('kill'),
          drill('disk-full', { missing: async () => 'only root may do that' }),
          drill('nan'),
        ],
        arms: [arm('outrider'), arm('envoy', 'there is no program envoy')],
      },
      (line) => lines.push(line),
    );
    assert.deepEqual(
      [arms.map(({ name }) => name), drills.map(({ name }) => name)],
      [['outrider'], ['kill', 'nan']],
    );
    assert.deepEqual(lines, [
      'without drill disk-full: only root may do that',
      'without envoy: there is no program envoy',
    ]);
    assert.deepEqual(
      skipped.map((one) => `${one.drill} ${one.arm}`),
      ['disk-full outrider', 'disk-full envoy', 'kill envoy', 'nan envoy'],
    );
  });
});
