import assert from 'node:assert/strict';
import { servesAs } from '../../../../../sidecar/cli/chaos/arms/envoy-process.js';

describe('a process of Envoy and the one that follows it', () => {
  const info = (state: string, epoch: number) =>
    JSON.stringify({ state, command_line_options: { restart_epoch: epoch } });

  it('serves when the admin port is its own and says so, and not while it is that of its predecessor', () => {
    assert.equal(servesAs(info('LIVE', 1), 1), true);
    assert.equal(servesAs(info('LIVE', 0), 1), false);
    assert.equal(servesAs(info('PRE_INITIALIZING', 1), 1), false);
    assert.equal(servesAs('{"state":"LIVE"}', 0), true, 'a number of 0 may be left out');
    assert.equal(servesAs('', 0), false);
  });
});
