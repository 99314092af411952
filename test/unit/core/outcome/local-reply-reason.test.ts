import assert from 'node:assert/strict';
import {
  injected,
  LocalReplyReasons,
  reasonMessage,
} from '../../../../sidecar/core/outcome/local-reply-reason.js';
import { Status, statusName } from '../../../../sidecar/core/outcome/status.js';

const FOR_APPLICATIONS: readonly (keyof typeof Status)[] = [
  ...(['OK', 'INVALID_ARGUMENT', 'NOT_FOUND', 'ALREADY_EXISTS', 'FAILED_PRECONDITION'] as const),
  ...(['ABORTED', 'OUT_OF_RANGE', 'DATA_LOSS'] as const),
];

describe('Reasons', () => {
  it('have stable names', () => {
    const names = new Set(Object.values(LocalReplyReasons).map(({ name }) => name));
    assert.deepEqual(
      [...names],
      [
        ...[
          'deadline-exceeded',
          'attempt-timeout',
          'first-message-timeout',
          'message-timeout',
          'idle-timeout',
        ],
        ...['overloaded', 'rate-limited', 'stream-rate-limited'],
        ...['memory-pressure', 'memory-budget', 'silent-stream', 'too-many-streams'],
        ...['queue-expired', 'no-endpoint'],
        ...['discovery-pending', 'breaker-open', 'connect-failed', 'connection-lost', 'upstream-reset'],
        'not-resumed',
        'answer-aborted',
        ...['not-allowed', 'intentions-not-loaded', 'no-identity', 'unknown-route', 'model-unavailable'],
        ...['model-not-ready', 'model-crashed', 'poison', 'drain-timeout', 'draining', 'too-large'],
        ...['metadata-too-large', 'fault-injected'],
        ...['protocol-error', 'internal'],
      ],
    );
  });

  it('have one name for several sentences only where they refuse a call alike, one of them by what it is about', () => {
    const { rateLimited, modelRateLimited, tokenRateLimited } = LocalReplyReasons;
    const { streamRateLimited, streamModelRateLimited } = LocalReplyReasons;
    const { notAllowed, modelNotAllowed, controlNotAllowed } = LocalReplyReasons;
    const all = Object.values(LocalReplyReasons);
    const twice = all.filter(({ name }, i) => all.findIndex((each) => each.name === name) !== i);
    const ofRate = [modelRateLimited, tokenRateLimited, streamModelRateLimited];
    assert.deepEqual(twice, [...ofRate, modelNotAllowed, controlNotAllowed]);
    const pairs = [
      [rateLimited, modelRateLimited],
      [rateLimited, tokenRateLimited],
      [streamRateLimited, streamModelRateLimited],
      [notAllowed, modelNotAllowed],
      [notAllowed, controlNotAllowed],
    ] as const;
    for (const [whole, model] of pairs)
      assert.deepEqual([model.status, model.isUnprocessed], [whole.status, whole.isUnprocessed]);
  });

  for (const { name, status } of Object.values(LocalReplyReasons))
    it(`${name} does not speak in the application's name (gRFC A54): ${statusName(status)}`, () => {
      assert.ok(FOR_APPLICATIONS.every((name) => Status[name] !== status));
    });

  it('time out with DEADLINE_EXCEEDED, shed with RESOURCE_EXHAUSTED', () => {
    const { deadlineExceeded, attemptTimeout, idleTimeout, queueExpired } = LocalReplyReasons;
    const { overloaded, rateLimited, memoryPressure, breakerOpen } = LocalReplyReasons;
    for (const { status } of [deadlineExceeded, attemptTimeout, idleTimeout, queueExpired])
      assert.equal(status, Status.DEADLINE_EXCEEDED);
    for (const { status } of [overloaded, rateLimited, memoryPressure, breakerOpen])
      assert.equal(status, Status.RESOURCE_EXHAUSTED);
  });

  it('mark as unprocessed only what certainly was not', () => {
    const marked = Object.values(LocalReplyReasons).filter(({ isUnprocessed }) => isUnprocessed);
    const names = new Set(marked.map(({ name }) => name));
    assert.deepEqual(
      [...names],
      [
        ...['overloaded', 'rate-limited', 'memory-pressure', 'memory-budget'],
        ...['queue-expired', 'no-endpoint'],
        ...['discovery-pending', 'breaker-open', 'connect-failed', 'intentions-not-loaded'],
        ...['model-unavailable', 'model-not-ready', 'draining'],
      ],
    );
  });
});

describe('injected', () => {
  it('has any status and one name', () => {
    const status = Status.NOT_FOUND;
    assert.deepEqual(injected(status), { ...LocalReplyReasons.faultInjected, status });
    assert.equal(injected(status), injected(status));
  });
});

describe('reasonMessage', () => {
  it('names the limit', () => {
    const text = reasonMessage(LocalReplyReasons.attemptTimeout, { endpoint: '10.0.0.7:9000', limitMs: 250 });
    assert.equal(text, 'attempt at 10.0.0.7:9000 exceeded 250 ms');
  });

  it('shows a value as it is, and what is missing as a question mark', () => {
    const { unknownRoute, internal } = LocalReplyReasons;
    assert.equal(reasonMessage(unknownRoute, { path: '$& {path}' }), 'no route for $& {path}');
    assert.equal(reasonMessage(unknownRoute), 'no route for ?');
    assert.equal(reasonMessage(internal, { detail: 'secret' }), 'internal error of the sidecar');
  });
});
