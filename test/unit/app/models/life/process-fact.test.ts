/** What the state of a process means for the life of its model. */
import assert from 'node:assert/strict';
import { processFactOf } from '../../../../../sidecar/app/models/life/process-fact.js';

describe('the state of a model process', () => {
  it('is told from that of its supervisor, and while it starts from its own', () => {
    assert.equal(processFactOf('starting', false), 'starting');
    assert.equal(processFactOf('starting', true), 'warming');
    assert.equal(processFactOf('ready', false), 'ready');
    assert.equal(processFactOf('backoff', false), 'backing-off');
    assert.equal(processFactOf('given-up', false), 'given-up');
    assert.equal(processFactOf('unresponsive', false), 'unresponsive');
    assert.equal(processFactOf('stopped', true), 'none');
    assert.equal(processFactOf('foreign', false), 'starting');
  });
});
