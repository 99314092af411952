import assert from 'node:assert/strict';
import { ENGINE_CODECS } from '../../../../sidecar/codec/engines/engine-codecs.js';
import { ENGINE_KINDS, GENERATE_METHODS } from '../../../../sidecar/core/routing/engine.js';

describe('the methods of engines that make tokens', () => {
  it('are those whose messages are read', () => {
    for (const kind of ENGINE_KINDS) assert.equal(GENERATE_METHODS[kind], ENGINE_CODECS[kind].generate);
  });
});
