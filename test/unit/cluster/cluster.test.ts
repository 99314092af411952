/** The endpoints that a cluster connects to, and what stays of them when discovery changes. */

import assert from 'node:assert/strict';
import type { Cluster, ClusterDeps } from '../../../sidecar/cluster/cluster.js';
import { expireConnections } from '../../../sidecar/cluster/connections.js';
import { readmitUntried } from '../../../sidecar/cluster/ejection-events.js';
import { refreshEligible } from '../../../sidecar/cluster/eligibility.js';
import type { Endpoint, Peer } from '../../../sidecar/cluster/endpoint.js';
import { makeCluster, stopCluster, updateCluster } from '../../../sidecar/cluster/membership.js';
import { isProbeDue, takeProbe } from '../../../sidecar/cluster/picking.js';
import { labelOf } from '../../../sidecar/config/codecs/address.js';
import type { EndpointConfig, UpstreamConfig } from '../../../sidecar/config/model.js';
import { EjectionState, NO_PROBE } from '../../../sidecar/core/outlier/ejection.js';
import { DEFAULT_LOCAL_SETTINGS } from '../../../sidecar/http2/settings.js';
import { end, fail, findingsOf } from '../../kit/core/ejections.js';
import { addressOf, anUpstream, Stack } from '../../kit/stack/stack.js';

describe('A cluster', () => {
  let stack: Stack;
  let upstream: Cluster;
  let dialled: { readonly to: string; readonly peer: Peer }[];
  beforeEach(() => {
    stack = new Stack();
    dialled = [];
  });
  afterEach(() => stopCluster(upstream));

  const addresses = (): string[] => dialled.map(({ to }) => to);
  const config = (endpoints: readonly Partial<EndpointConfig>[], over = {}): UpstreamConfig => ({
    ...anUpstream([], over),
    endpoints: endpoints.map((each, i) => ({ address: addressOf(`e${i}`), weight: 1, id: `e${i}`, ...each })),
  });
  const deps = (): ClusterDeps => {
    const { context } = stack;
    return { context, settings: DEFAULT_LOCAL_SETTINGS, dial: () => undefined };
  };
  const open = (endpoints: readonly Partial<EndpointConfig>[], over = {}): void => {
    for (let i = 0; i < endpoints.length; i++) stack.backend(`e${i}`);
    upstream = makeCluster(config(endpoints, over), {
      ...deps(),
      dial: (address, peer) => {
        dialled.push({ to: labelOf(address), peer });
        return stack.net.dial(labelOf(address));
      },
    });
    stack.run();
  };

  const update = (...how: Parameters<typeof config>): void =>
    stack.settle(updateCluster(upstream, config(...how)));

  it('a cluster connects to each endpoint as the service that it has to be', () => {
    open([{}, { service: 'other', datacenter: 'dc2', subset: 'v1' }]);
    assert.deepEqual(dialled, [
      { to: 'e0:1', peer: { service: 'digits' } },
      { to: 'e1:1', peer: { service: 'other', datacenter: 'dc2', subset: 'v1' } },
    ]);
  });

  it('an address that belongs to another service now gets a new connection', () => {
    open([{}]);
    const [before] = upstream.endpoints;
    updateCluster(upstream, config([{ id: 'renamed', weight: 3 }]));
    assert.equal(upstream.endpoints[0], before);
    assert.equal(before?.id, 'renamed');
    stack.settle(updateCluster(upstream, config([{ service: 'other' }])));
    assert.notEqual(upstream.endpoints[0], before);
    assert.deepEqual(dialled.at(-1), { to: 'e0:1', peer: { service: 'other' } });
    assert.equal(dialled.length, 2);
  });

  it('connections stay when their limits change, grow in number with them, and are replaced for TLS', () => {
    open([{}]);
    update([{}], { pool: { connectTimeoutMs: 300, pingIntervalMs: 50 } });
    assert.equal(dialled.length, 1);
    update([{}], { pool: { connections: 3 } });
    assert.equal(dialled.length, 3);
    assert.equal(upstream.endpoints[0]?.pool.connectionCount, 3);
    stack.backend('e1').mode = 'silent';
    update([{}, {}], { pool: { connectTimeoutMs: 300 } });
    stack.advance(310);
    assert.match(upstream.endpoints[1]?.pool.problem ?? '', /timeout/);
    update([{}], { tls: 'plaintext' });
    assert.equal(upstream.endpoints[0]?.pool.connects, 1);
  });

  it('an endpoint that cannot be connected to says why', () => {
    upstream = makeCluster(config([{}]), { ...deps(), whyNot: () => 'the certificate has expired' }, 'v1');
    assert.equal(upstream.endpoints[0]?.pool.problem, 'the certificate has expired');
    assert.equal(upstream.clusterName, 'v1');
  });

  it('an ejected endpoint keeps its history when its priority changes', () => {
    open([{}, {}, {}]);
    const [moved] = upstream.endpoints;
    const { ejections, ejection } = moved!;
    fail(ejections, ejection, 2000);
    refreshEligible(upstream);
    assert.equal(upstream.ejections.members.ejected, 1);
    updateCluster(upstream, config([{ priority: 1 }, {}, {}]));
    assert.equal(upstream.ejections.members.ejected, 0);
    const sums = upstream.allEjections.map(
      (pool) => [pool.members.ejected, findingsOf(pool).enforced] as const,
    );
    const sumOf = (at: 0 | 1) => sums.reduce((sum, each) => sum + each[at], 0);
    assert.deepEqual([sumOf(0), sumOf(1)], [1, 1]);
    assert.equal(moved?.ejection.state, 1);
  });

  it('an ejected endpoint whose weight becomes 0 gets no probe, and one as soon as it has weight again', () => {
    open([{}, {}, {}]);
    const [drained] = upstream.endpoints as [Endpoint];
    fail(drained.ejections, drained.ejection, 2000);
    const laterMs = drained.ejection.untilMs + 60_000;
    update([{ weight: 0 }, {}, {}]);
    assert.equal(isProbeDue(upstream, laterMs), false);
    assert.equal(takeProbe(upstream, laterMs, laterMs + 1), undefined);
    readmitUntried(upstream, drained);
    drained.ejections.members.probeNow(drained.ejection, laterMs);
    assert.deepEqual([upstream.ejections.members.ejected, upstream.ejections.members.eligible], [0, 2]);
    fail(drained.ejections, drained.ejection, 2000);
    update([{}, {}, {}]);
    assert.equal(upstream.ejections.members.eligible, 3);
    fail(drained.ejections, drained.ejection, 2000);
    update([{ weight: 0 }, {}, {}]);
    update([{}, {}, {}]);
    assert.deepEqual([upstream.ejections.members.ejected, upstream.ejections.members.eligible], [1, 2]);
    assert.equal(takeProbe(upstream, drained.ejection.untilMs, laterMs + 1), drained);
  });

  it('an endpoint whose weight becomes 0 while a call probes it is probed again once it has weight', () => {
    open([{}, {}, {}]);
    const [drained] = upstream.endpoints as [Endpoint];
    fail(drained.ejections, drained.ejection, 2000);
    const { untilMs } = drained.ejection;
    assert.equal(takeProbe(upstream, untilMs, Number.POSITIVE_INFINITY), drained);
    const { probe } = drained.ejection;
    update([{ weight: 0 }, {}, {}]);
    end(drained.ejections, drained.ejection, 'success', untilMs, { probe });
    update([{}, {}, {}]);
    assert.equal(takeProbe(upstream, untilMs + 1, Number.POSITIVE_INFINITY), drained);
  });

  it('an ejected endpoint that has weight again is readmitted where ejections are only observed by then', () => {
    open([{}, {}, {}]);
    const [drained] = upstream.endpoints as [Endpoint];
    fail(drained.ejections, drained.ejection, 2000);
    update([{ weight: 0 }, {}, {}]);
    const ejection = { ...upstream.config.ejection, mode: 'observe' as const };
    update([{ weight: 0 }, {}, {}], { ejection });
    update([{}, {}, {}], { ejection });
    assert.deepEqual(
      [drained.ejection.state, upstream.ejections.members.eligible],
      [EjectionState.admitted, 3],
    );
  });

  it('the last endpoint with a weight is not ejected for the sake of those without', () => {
    open([{ weight: 0 }, { weight: 0 }, {}]);
    const last = upstream.endpoints[2]!;
    fail(last.ejections, last.ejection, 2000);
    refreshEligible(upstream);
    assert.deepEqual([upstream.ejections.members.ejected, last.eligible], [0, true]);
  });

  it('a model that the registry says is back gets its trial at once, and nothing else that is ejected', () => {
    open([{}, {}, {}]);
    const [down, slow] = upstream.endpoints as [Endpoint, Endpoint];
    const later = stack.clock.now() + 5_000;
    for (const { ejections, ejection } of [down, slow]) {
      ejections.recordDown(ejection, stack.clock.now(), stack.clock.now(), NO_PROBE);
      ejection.untilMs = later;
    }
    assert.equal(down.ejection.state, EjectionState.ejected);
    slow.ejection.isDown = false;
    update([{}, {}, {}]);
    assert.equal(down.ejection.untilMs, later, 'nothing was said of it');
    update([{ critical: 'model: exited' }, { critical: 'model: exited' }, {}]);
    update([{}, {}, {}]);
    assert.ok(down.ejection.untilMs < later);
    assert.equal(slow.ejection.untilMs, later, 'it was ejected for what the registry does not know');
  });

  it('the order of endpoints does not depend on the order of the list', () => {
    open([{ priority: 1002 }, { priority: 2 }, { priority: 0 }]);
    const priorities = upstream.endpoints.map(({ priority }) => priority);
    assert.deepEqual(priorities, [0, 2, 1002]);
    assert.deepEqual(addresses(), ['e2:1', 'e1:1']);
  });

  it('a cluster connects to few endpoints at once, and at once to one that a call needs', () => {
    open(Array.from({ length: 40 }, () => ({})));
    assert.equal(dialled.length, 8);
    const last = upstream.endpoints[39]!;
    last.pool.wait({ holder: {}, onSession() {}, onConnectFailed() {} });
    stack.advance(8);
    assert.ok(dialled.some(({ to }) => to === 'e39:1'));
    stack.advance(40);
    assert.equal(dialled.length, 40);
    assert.equal(upstream.endpoints.filter(({ eligible }) => eligible).length, 40);
  });

  it('connections are replaced when the identity they were made with is no longer valid', () => {
    open([{}, { priority: 1 }]);
    expireConnections(upstream);
    stack.advance(100);
    assert.deepEqual(addresses(), ['e0:1', 'e1:1', 'e0:1', 'e1:1']);
    assert.ok(upstream.active[0]?.eligible);
  });
});
