import assert from 'node:assert/strict';
import { type HeaderField, makeField } from '../../../sidecar/http2/hpack/field.js';
import { HeaderBlock, StableList } from '../../../sidecar/http2/hpack/header-list.js';
import {
  attemptTimeoutField,
  attemptTimeoutIn,
  callDeadlineField,
  callDeadlineIn,
} from '../../../sidecar/relay/attempt-timeout-header.js';
import { NEVER } from '../../../sidecar/relay/call.js';
import { forwardExtras, inboundProfile, requestProfile } from '../../../sidecar/relay/header-rewrite.js';

const block = (...extras: HeaderField[]): HeaderBlock =>
  new HeaderBlock(StableList.of([makeField(':path', '/a.B/C')]), extras, 0, extras.length + 1, false, false);

describe('outrider-deadline', () => {
  it('says what is left of a call, rounded down, or that it has no deadline', () => {
    assert.equal(callDeadlineField(1_500.7).value, '1500m');
    assert.equal(callDeadlineField(60_000).value, '60000m');
    assert.equal(callDeadlineField(NEVER).value, 'none');
  });

  it('is read as it was written', () => {
    for (const ms of [100, 1_500, 16_383, 16_384, 3_600_000, NEVER])
      assert.equal(callDeadlineIn(block(makeField('x', '1'), callDeadlineField(ms))), ms);
  });

  it('is NaN where nothing is said, or nothing that can be read', () => {
    assert.ok(Number.isNaN(callDeadlineIn(block(attemptTimeoutField(300)))));
    assert.ok(Number.isNaN(callDeadlineIn(block(makeField('outrider-deadline', 'soon')))));
  });

  it('is made once for the same time', () => {
    assert.equal(callDeadlineField(1_500.2), callDeadlineField(1_500.9));
    assert.equal(callDeadlineField(NEVER), callDeadlineField(NEVER));
  });

  it('is not the attempt timeout', () => {
    assert.equal(attemptTimeoutIn(block(callDeadlineField(1_500))), NEVER);
  });

  it('goes on neither to an endpoint nor to a model', () => {
    for (const profile of [requestProfile('https'), inboundProfile()])
      assert.deepEqual(forwardExtras(block(callDeadlineField(1_500)), profile, NEVER, null, 0), []);
  });
});
