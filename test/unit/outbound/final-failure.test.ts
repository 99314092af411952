import assert from 'node:assert/strict';
import { AttemptEnd } from '../../../sidecar/core/outcome/outcome.js';
import { NoRetry } from '../../../sidecar/core/retry/retry-state.js';
import { makeField } from '../../../sidecar/http2/hpack/field.js';
import { StableList } from '../../../sidecar/http2/hpack/header-list.js';
import type { Failure, OutboundCall } from '../../../sidecar/outbound/call.js';
import { finalFields } from '../../../sidecar/outbound/final-failure.js';

interface Facts {
  readonly final?: boolean;
  readonly decision?: number;
  readonly ended?: number;
  readonly isCommitted?: boolean;
  /** The value of the endpoint's `grpc-retry-pushback-ms`. */
  readonly pushback?: string;
  /** The reply is the sidecar's own. */
  readonly reply?: 'plain' | 'with pushback';
}

function said(facts: Facts = {}): string {
  const { final = true, decision = NoRetry.exhausted, ended = AttemptEnd.trailers, pushback, reply } = facts;
  const call = {
    isCommitted: facts.isCommitted ?? false,
    match: { plan: { config: { retry: { final } } } },
    retry: { decision },
  } as unknown as OutboundCall;
  const extras = pushback === undefined ? [] : [makeField('grpc-retry-pushback-ms', pushback)];
  const metadata = reply === 'with pushback' ? makeField('grpc-retry-pushback-ms', '5') : null;
  const failure = {
    reply: reply === undefined ? null : { metadata },
    attempt: { ended, trailers: reply === undefined ? { stable: StableList.of([]), extras } : null },
  } as unknown as Failure;
  return finalFields(call, failure)
    .map(({ name, value }) => `${name}: ${value}`)
    .join();
}

const FINAL = 'grpc-retry-pushback-ms: -1';

describe('what an application is told of its failed call', () => {
  it('asks for no other attempt where the attempts, the budget or the breaker are used up', () => {
    for (const decision of [NoRetry.exhausted, NoRetry.overBudget, NoRetry.overBreaker])
      assert.equal(said({ decision }), FINAL);
    assert.equal(said({ ended: AttemptEnd.attemptTimeout, reply: 'plain' }), FINAL);
  });

  for (const [title, facts] of [
    ['the route does not ask for it', { final: false }],
    ['the failure is none that is retried', { decision: NoRetry.notRetryable }],
    ['there was no time left', { decision: NoRetry.noTime }],
    ['no endpoint was reached', { ended: AttemptEnd.unconnected }],
    ['the response had begun', { isCommitted: true }],
    ['the endpoint says when to come back', { pushback: '250' }],
    ['the reply of the sidecar says so', { ended: AttemptEnd.attemptTimeout, reply: 'with pushback' }],
  ] as readonly [string, Facts][])
    it(`asks for nothing where ${title}`, () => {
      assert.equal(said(facts), '');
    });

  it('asks for nothing where there was no attempt', () => {
    const call = { match: { plan: { config: { retry: { final: true } } } } } as unknown as OutboundCall;
    assert.deepEqual(finalFields(call, { reply: null, attempt: null }), []);
  });
});
