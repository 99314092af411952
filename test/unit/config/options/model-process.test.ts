/** What options about versions may stand beside each other. */
import assert from 'node:assert/strict';
import { refuseOtherControl } from '../../../../sidecar/config/options/model-process.js';

describe('the options of rollouts', () => {
  const problems = (found: Readonly<Record<string, unknown>>): string[] => {
    const all: string[] = [];
    refuseOtherControl(found, (path, message) => all.push(`${path.join('.')}: ${message}`));
    return all;
  };

  it('stand alone, or beside one version', () => {
    assert.deepEqual(problems({ repository: { control: 'poll' }, versions: 'all' }), []);
    for (const versions of [undefined, 'latest', 'latest 1', 'specific 3', { kind: 'latest', count: 1 }])
      assert.deepEqual(problems({ rollout: {}, versions }), []);
  });

  it('are refused beside another way in which versions change, and beside several versions', () => {
    assert.match(
      problems({ rollout: {}, repository: {} }).join(),
      /^repository: found beside rollout; expected one/,
    );
    for (const versions of ['all', 'latest 2', 'specific 1, 2', { kind: 'all' }])
      assert.match(
        problems({ rollout: {}, versions }).join(),
        /^versions: found ".*" beside rollout; expected "latest 1"/,
      );
  });
});
