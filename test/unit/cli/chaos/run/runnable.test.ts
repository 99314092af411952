import assert from 'node:assert/strict';
import type { Arm } from '../../../../../sidecar/cli/chaos/arms/arm.js';
import type { Drill } from '../../../../../sidecar/cli/chaos/drills/drill.js';
import { runnableOf } from '../../../../../sidecar/cli/chaos/run/runnable.js';

const drill = (name: string, missing?: string): Drill => ({
  ...{ name, title: name, does: name, set: 'full' },
  begin: async () => {},
  ...(missing !== undefined && { missing: async () => missing }),
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
        drills: [drill('kill'), drill('disk-full', 'only root may do that'), drill('nan')],
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
