/** Which calls of an upstream may begin, which may wait, and the replies to the others. */
import assert from 'node:assert/strict';
import { makeCluster, stopCluster } from '../../../sidecar/cluster/membership.js';
import { Upstream } from '../../../sidecar/cluster/upstream.js';
import type { BreakerConfig } from '../../../sidecar/config/model.js';
import { DEFAULT_LOCAL_SETTINGS } from '../../../sidecar/http2/settings.js';
import type { OutboundCall } from '../../../sidecar/outbound/call.js';
import { CircuitBreaker, MAX_WAIT_MS } from '../../../sidecar/outbound/circuit-breaker.js';
import type { LocalReply } from '../../../sidecar/relay/local-reply.js';
import { anUpstream, Stack } from '../../kit/stack/stack.js';

const NONE: BreakerConfig = { maxConnections: 0, maxPending: 0, maxInFlight: 0, maxRetries: 0 };

describe('The circuit breaker of an upstream', () => {
  let stack: Stack;
  let clusters: Upstream;
  let bounds: CircuitBreaker;
  const configure = (breaker?: Partial<BreakerConfig>): void =>
    bounds.configure(anUpstream([], breaker === undefined ? {} : { breaker: { ...NONE, ...breaker } }));

  /** As much of a call as its bounds and its timer look at; it is in the timing wheel already. */
  const aCall = (): OutboundCall =>
    ({
      startMs: stack.context.nowMs,
      breaker: null,
      cluster: { maxPending: 0, endpoints: [] },
      hedge: null,
      deadlineMs: 0,
      silence: null,
      plan: { idleTimeoutMs: 0, quietAfterMs: 0 },
      isScheduled: true,
      dueMs: 0,
    }) as unknown as OutboundCall;
  /** What a refused call is told; undefined: it is not refused. */
  const told = (reply: LocalReply | null): string | undefined =>
    reply === null ? undefined : `${reply.reason.name}: ${reply.message}`;
  const begun = (): OutboundCall => {
    const call = aCall();
    assert.equal(bounds.admit(call), null);
    return call;
  };

  beforeEach(() => {
    stack = new Stack();
    stack.backend('a').mode = 'silent';
    // No endpoint can be reached: attempts wait for their connection.
    const dial = () => stack.net.dial('a:1');
    const deps = { context: stack.context, settings: DEFAULT_LOCAL_SETTINGS, dial };
    clusters = new Upstream(anUpstream(['a']), (config, cluster) => makeCluster(config, deps, cluster));
    bounds = new CircuitBreaker('digits', clusters, stack.context);
  });
  afterEach(() => {
    bounds.takeWaiting();
    for (const upstream of clusters.all) stopCluster(upstream);
  });

  it('an upstream without a breaker bounds no calls', () => {
    const calls = Array.from({ length: 100 }, begun);
    assert.ok(calls.every((call) => call.breaker === null && bounds.admitToQueue(call) === null));
  });

  it('a bound that discovery sets on waiting calls holds where the file has no breaker', () => {
    const [cluster] = clusters.all;
    const call = (): OutboundCall => Object.assign(aCall(), { cluster });
    const waiter = { holder: {}, onSession() {}, onConnectFailed() {} };
    cluster!.maxPending = 1;
    assert.equal(bounds.admitToQueue(call()), null);
    cluster!.endpoints[0]!.pool.wait(waiter);
    assert.match(told(bounds.admitToQueue(call())) ?? '', /^breaker-open: .*1 calls waiting/);
    cluster!.maxPending = 2;
    assert.equal(bounds.admitToQueue(call()), null);
    cluster!.endpoints[0]!.pool.stopWaiting(waiter);
  });

  it('a call counts as in flight from when it begins, and a refused one never does', () => {
    configure({ maxInFlight: 1 });
    const call = begun();
    const over = aCall();
    assert.equal(told(bounds.admit(over)), 'breaker-open: digits has 1 calls in flight already');
    assert.equal(over.breaker, null);
    assert.equal(call.breaker?.limits, bounds.limits);
    assert.equal(bounds.limits?.inFlight, 1);
  });

  it('calls in flight go on being counted when the limits of the breaker change', () => {
    configure({ maxInFlight: 1 });
    const { breaker } = begun();
    configure({ maxInFlight: 2 });
    assert.equal(bounds.limits, breaker?.limits);
    begun();
    assert.notEqual(bounds.admit(aCall()), null);
    configure();
    assert.equal(bounds.limits, null);
    assert.equal(begun().breaker, null);
  });

  it('calls that wait for discovery and attempts that wait for a connection count together', () => {
    configure({ maxPending: 2 });
    const call = begun();
    assert.equal(bounds.admitToQueue(call), null);
    assert.ok(bounds.wait(aCall()));
    assert.equal(bounds.admitToQueue(call), null);
    clusters.all[0]!.endpoints[0]!.pool.wait({ holder: {}, onSession() {}, onConnectFailed() {} });
    assert.equal(told(bounds.admitToQueue(call)), 'breaker-open: digits has 2 calls waiting already');
  });

  it('a call waits for discovery for 15 s from its arrival at most', () => {
    const call = aCall();
    assert.equal(bounds.waitForDiscovery(call), null);
    assert.equal(call.resumeMs, call.startMs + MAX_WAIT_MS);
    assert.equal(bounds.waitingCalls, 1);
    assert.ok(bounds.leave(call));
    assert.equal(bounds.leave(call), false);
    stack.context.nowMs += MAX_WAIT_MS;
    const refusal = told(bounds.waitForDiscovery(call));
    assert.equal(bounds.waitingCalls, 0);
    assert.match(refusal!, /^discovery-pending: .*discovery has not answered/);
  });

  it('calls that wait are taken in the order they came', () => {
    const calls = [aCall(), aCall(), aCall()];
    for (const call of calls) bounds.waitForDiscovery(call);
    assert.deepEqual(bounds.takeWaiting(), calls);
    assert.equal(bounds.waitingCalls, 0);
    assert.equal(stack.context.memory.held, 0);
  });
});
