import assert from 'node:assert/strict';
import {
  injected,
  LocalReplyReasons,
  REASON_NAMES,
  reasonMessage,
} from '../../../../sidecar/core/outcome/local-reply-reason.js';
import { Status, statusName } from '../../../../sidecar/core/outcome/status.js';

describe('Reasons', () => {
  it('have stable names, each once', () => {
    assert.deepEqual(REASON_NAMES, [
      'deadline-exceeded',
      'attempt-timeout',
      'idle-timeout',
      'overloaded',
      'rate-limited',
      'memory-pressure',
      'memory-budget',
      'silent-stream',
      'queue-expired',
      'no-endpoint',
      'discovery-pending',
      'breaker-open',
      'connect-failed',
      'connection-lost',
      'upstream-reset',
      'not-allowed',
      'intentions-not-loaded',
      'no-identity',
      'unknown-route',
      'model-unavailable',
      'model-not-ready',
      'model-crashed',
      'poison',
      'draining',
      'too-large',
      'fault-injected',
      'protocol-error',
      'internal',
    ]);
  });

  for (const { name, status } of Object.values(LocalReplyReasons)) {
    it(`${name} does not speak in the application's name (gRFC A54): ${statusName(status)}`, () => {
      const forApplications: readonly number[] = [
        Status.OK,
        Status.INVALID_ARGUMENT,
        Status.NOT_FOUND,
        Status.ALREADY_EXISTS,
        Status.FAILED_PRECONDITION,
        Status.ABORTED,
        Status.OUT_OF_RANGE,
        Status.DATA_LOSS,
      ];
      assert.ok(!forApplications.includes(status));
    });
  }

  it('time out with DEADLINE_EXCEEDED, shed with RESOURCE_EXHAUSTED', () => {
    for (const { status } of [
      LocalReplyReasons.deadlineExceeded,
      LocalReplyReasons.attemptTimeout,
      LocalReplyReasons.idleTimeout,
      LocalReplyReasons.queueExpired,
    ]) {
      assert.equal(status, Status.DEADLINE_EXCEEDED);
    }
    for (const { status } of [
      LocalReplyReasons.overloaded,
      LocalReplyReasons.rateLimited,
      LocalReplyReasons.memoryPressure,
      LocalReplyReasons.breakerOpen,
    ]) {
      assert.equal(status, Status.RESOURCE_EXHAUSTED);
    }
  });

  it('mark as unprocessed only what certainly was not', () => {
    const marked = Object.values(LocalReplyReasons).filter(({ isUnprocessed }) => isUnprocessed);
    assert.deepEqual(
      marked.map(({ name }) => name),
      [
        'overloaded',
        'rate-limited',
        'memory-pressure',
        'queue-expired',
        'no-endpoint',
        'discovery-pending',
        'breaker-open',
        'connect-failed',
        'intentions-not-loaded',
        'model-unavailable',
        'model-not-ready',
        'draining',
      ],
    );
  });
});

describe('injected', () => {
  it('has any status and one name', () => {
    assert.deepEqual(injected(Status.NOT_FOUND), {
      ...LocalReplyReasons.faultInjected,
      status: Status.NOT_FOUND,
    });
    assert.equal(injected(Status.NOT_FOUND), injected(Status.NOT_FOUND));
  });
});

describe('reasonMessage', () => {
  it('names the limit', () => {
    assert.equal(
      reasonMessage(LocalReplyReasons.attemptTimeout, { endpoint: '10.0.0.7:9000', limitMs: 250 }),
      'attempt at 10.0.0.7:9000 exceeded 250 ms',
    );
  });

  it('shows a value as it is, and what is missing as a question mark', () => {
    assert.equal(
      reasonMessage(LocalReplyReasons.unknownRoute, { path: '$& {path}' }),
      'no route for $& {path}',
    );
    assert.equal(reasonMessage(LocalReplyReasons.unknownRoute), 'no route for ?');
    assert.equal(
      reasonMessage(LocalReplyReasons.internal, { detail: 'secret' }),
      'internal error of the sidecar',
    );
  });
});
