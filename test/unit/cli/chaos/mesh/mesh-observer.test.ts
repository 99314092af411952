import assert from 'node:assert/strict';
import { processChanges } from '../../../../../sidecar/cli/chaos/mesh/mesh-observer.js';

const view = (pid: number | undefined, isReady: boolean, why = '') => [
  { replica: 'digits-1', pid, isReady, why },
];

describe('marks for model processes of a running mesh', () => {
  const kinds = (
    ...[before, after]: Parameters<typeof processChanges> extends [infer A, infer B, unknown] ? [A, B] : never
  ) => processChanges(before, after, 5).map(({ kind, replica, atMs }) => [kind, replica, atMs]);

  it('say that one ended, and that another serves', () => {
    assert.deepEqual(kinds(view(1, true), view(undefined, false, 'killed by SIGKILL')), [
      ['died', 'digits-1', 5],
    ]);
    assert.deepEqual(kinds(view(2, false), view(2, true)), [['restarted', 'digits-1', 5]]);
    // Both between two looks.
    assert.deepEqual(
      kinds(view(1, true), view(2, true)).map(([kind]) => kind),
      ['died', 'restarted'],
    );
  });

  it('are none where nothing changed, nor for one that is seen for the first time', () => {
    assert.deepEqual(kinds(view(1, true), view(1, true)), []);
    assert.deepEqual(kinds(view(2, false), view(3, false)), []);
    assert.deepEqual(kinds([], view(1, true)), []);
  });
});
