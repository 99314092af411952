import assert from 'node:assert/strict';
import { Status } from '../../../sidecar/core/outcome/status.js';
import { RETRY_RULES } from '../../../sidecar/core/retry/decide-retry.js';
import { PASS, type RetryRule } from '../../../sidecar/core/retry/retry-state.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';

/** What a new rule takes: its function, and its line in the table. */
const onceAfterAborted: RetryRule = ({ facts: { status }, state }) =>
  status === Status.ABORTED && state.attempts === 1 ? 0 : PASS;

const rules = RETRY_RULES as RetryRule[];

describe('The rules that decide whether a call is tried again', () => {
  before(() => rules.unshift(onceAfterAborted));
  after(() => rules.shift());

  /** Requests at the endpoint, and the status of the call, when every attempt ends with `status`. */
  const outcomeOf = (status: number): unknown[] => {
    const stack = new UpstreamStack(['a']);
    stack.answers((stream) => void stream.fail(status));
    const stream = stack.call();
    return [stack.requests.length, stream.status];
  };

  it('a new rule grants an attempt that the others would not', () => {
    assert.deepEqual(outcomeOf(Status.ABORTED), [2, Status.ABORTED]);
  });

  it('an end that a new rule passes is decided by the others', () => {
    assert.deepEqual(outcomeOf(Status.UNAVAILABLE), [1, Status.UNAVAILABLE]);
  });
});
