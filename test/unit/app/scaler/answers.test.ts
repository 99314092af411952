import assert from 'node:assert/strict';
import { answerScaler, type LastSizes } from '../../../../sidecar/app/scaler/answers.js';
import { takeReport } from '../../../../sidecar/cluster/load-reports.js';
import { ScalerMethod } from '../../../../sidecar/codec/external-scaler.js';
import { LoadReport, OwnMetric } from '../../../../sidecar/codec/orca.js';
import type { EndpointConfig } from '../../../../sidecar/config/model.js';
import { CRITICAL_PRIORITY, MAIN_CLUSTER, type Uncounted } from '../../../../sidecar/discovery/snapshot.js';
import { grpcMessage } from '../../../kit/http2/h2-frames.js';
import { UpstreamStack } from '../../../kit/scenario/upstream-stack.js';
import { scalerService } from '../../../kit/service/scaler-client.js';
import { anUpstream, type UpstreamOptions } from '../../../kit/stack/stack.js';

const { IsActive, GetMetricSpec, GetMetrics } = scalerService();
const ASKED = { loadReports: { intervalMs: 1_000, forward: false } };

describe('what a scaler answers', () => {
  let stack: UpstreamStack;
  const sizes: LastSizes = new Map();
  let uncounted: Uncounted | undefined;

  const start = (over: UpstreamOptions = ASKED): void => {
    stack = new UpstreamStack(['a', 'b'], over);
    for (const name of ['c', 'd']) stack.backend(name);
    sizes.clear();
    uncounted = undefined;
  };
  const reports = (name: string, calls: number, waitingTokens?: number): void => {
    const report = new LoadReport();
    report.named.set(OwnMetric.calls, calls).set(OwnMetric.concurrency, 2);
    if (waitingTokens !== undefined) report.named.set(OwnMetric.waitingTokens, waitingTokens);
    takeReport(stack.out.cluster, stack.endpoint(name), report, 'stream', stack.clock.now());
  };
  const refOf = (metadata: Record<string, string> = {}) => ({
    ...{ name: 'x', namespace: 'y' },
    scalerMetadata: { service: 'digits', target: '4', ...metadata },
  });
  const answer = (path: string, body: Buffer) =>
    answerScaler(
      path,
      body,
      { upstreams: [stack.out.outbound.state], uncounted: () => uncounted, sizes },
      stack.clock.now(),
    );
  const workSaid = (metadata: Record<string, string> = {}): number | string => {
    const request = { scaledObjectRef: refOf(metadata), metricName: 'x' };
    const found = answer(ScalerMethod.metrics, grpcMessage(GetMetrics.requestSerialize(request)));
    if (!Buffer.isBuffer(found)) return `${found.status} ${found.why}`;
    return GetMetrics.responseDeserialize(found).metricValues[0]!.metricValueFloat;
  };
  const isActive = (metadata: Record<string, string> = {}): boolean => {
    const found = answer(
      ScalerMethod.isActive,
      grpcMessage(IsActive.requestSerialize(refOf(metadata))),
    ) as Buffer;
    return IsActive.responseDeserialize(found).result;
  };

  it('is the sum of what the endpoints report', () => {
    start();
    reports('a', 5, 1_000);
    reports('b', 3, 0);
    assert.deepEqual(
      [workSaid(), workSaid({ metric: 'waiting_calls' }), workSaid({ metric: 'waiting_tokens' })],
      [8, 4, 1_000],
    );
    assert.equal(isActive(), true);
    assert.equal(isActive({ activation: '8' }), false);
  });

  it('is what the endpoints have, though more calls of ours are under way there', () => {
    start();
    for (let i = 0; i < 8; i++) stack.call();
    reports('a', 0);
    reports('b', 0);
    assert.equal(workSaid(), 0);
  });

  it('takes an endpoint that reports nothing for one with its target', () => {
    start();
    reports('a', 1);
    assert.equal(workSaid(), 5);
    stack.advance(3_000);
    assert.match(String(workSaid()), /^14 none of 2 endpoints of digits reports its load/);
  });

  it('counts a report for three intervals where endpoints are asked less often than once a second', () => {
    start({ loadReports: { intervalMs: 20_000, forward: false } });
    reports('a', 5);
    reports('b', 3);
    stack.advance(59_999);
    assert.equal(workSaid(), 8);
    stack.advance(1);
    assert.match(String(workSaid()), /^14 none of 2 endpoints of digits reports its load/);
    start({ loadReports: { intervalMs: 100, forward: false } });
    reports('a', 5);
    reports('b', 3);
    stack.advance(2_999);
    assert.equal(workSaid(), 8);
    stack.advance(1);
    assert.match(String(workSaid()), /^14 /);
  });

  it('counts no report for longer than 3 s of an endpoint that has lost its connections', () => {
    start({ loadReports: { intervalMs: 20_000, forward: false } });
    reports('a', 9);
    reports('b', 3);
    stack.backend('a').mode = 'refuses';
    stack.backend('a').peer.socket.destroy();
    stack.advance(2_999);
    assert.equal(workSaid(), 12);
    stack.advance(1);
    assert.equal(workSaid(), 7, 'its target');
  });

  it('is nothing where endpoints are not asked, or do not count tokens', () => {
    start({ loadReports: { intervalMs: 0, forward: false } });
    reports('a', 1);
    assert.match(String(workSaid()), /^9 the endpoints of digits are not asked for their load/);
    start({ ...ASKED, tls: 'plaintext' });
    assert.match(String(workSaid()), /^9 .*expected tls: mesh/);
    start();
    reports('a', 1);
    reports('b', 1);
    assert.match(String(workSaid({ metric: 'waiting_tokens' })), /^9 .*do not count tokens/);
    reports('b', 1, 6);
    assert.equal(workSaid({ metric: 'waiting_tokens' }), 8, 'during an upgrade');
  });

  it('is the calls that wait for any endpoint, where there is none', () => {
    start({ ...ASKED, endpoints: [], coldStart: { waitMs: 60_000, maxWaiting: 10 } });
    assert.deepEqual([workSaid(), isActive()], [0, false]);
    for (let i = 0; i < 3; i++) stack.call();
    assert.deepEqual([workSaid(), isActive()], [3, true]);
    assert.equal(isActive({ metric: 'waiting_tokens', activation: '500' }), true);
  });

  describe('of an upstream that discovery finds', () => {
    const COLD = { coldStart: { waitMs: 60_000, maxWaiting: 10 } };
    const DNS = {
      dns: { name: 'digits', port: 1, refreshMs: 5_000, family: 'all', servers: [] },
      endpoints: [],
    } as unknown as UpstreamOptions;
    const KUBERNETES = {
      kubernetes: { service: 'digits', port: 'peers' },
      endpoints: [],
    } as unknown as UpstreamOptions;
    const UNREADY = 'its pod is not ready';
    const ENDING = 'its pod ends';
    /** Discovery says this of `a`, `b`, and so on. */
    const find = (...critical: readonly (string | undefined)[]): void =>
      findAs(
        critical.map((why) => ({
          ...(why === undefined ? {} : { critical: why, priority: CRITICAL_PRIORITY }),
          ...(why === ENDING ? { isEnding: true } : {}),
        })),
      );
    const findAs = (found: readonly Partial<EndpointConfig>[]): void => {
      const { endpoints: all } = anUpstream(['a', 'b', 'c', 'd']);
      const endpoints = found.map((each, i): EndpointConfig => ({ ...all[i]!, ...each }));
      stack.settle(
        stack.out.outbound.state.apply({
          routes: [{ split: [{ weight: 1, cluster: MAIN_CLUSTER }] }],
          clusters: new Map([[MAIN_CLUSTER, { endpoints }]]),
        }),
      );
    };
    const served = (): void => {
      find(undefined, undefined);
      reports('a', 5);
      reports('b', 3);
      assert.equal(workSaid(), 8);
    };

    it('is nothing where DNS has no address any more: none of its replicas may be ready', () => {
      start({ ...ASKED, ...DNS, ...COLD });
      served();
      find();
      assert.match(String(workSaid()), /^14 DNS has no address of digits: /);
      assert.match(String(workSaid({ metric: 'waiting_calls' })), /^14 /);
      stack.call();
      assert.deepEqual([workSaid(), isActive()], [8, true], 'the target of two replicas');
      find(undefined);
      reports('a', 1);
      assert.equal(workSaid(), 1);
    });

    it('is the calls that wait alone, once DNS has had no address for five minutes', () => {
      start({ ...ASKED, ...DNS, ...COLD });
      served();
      find();
      stack.call();
      stack.advance(299_000);
      stack.call();
      assert.equal(workSaid(), 8, 'its replicas may be back');
      stack.advance(1_000);
      assert.equal(workSaid(), 1);
    });

    it('is the calls that wait alone, where the replicas had nothing to do when DNS lost them', () => {
      start({ ...ASKED, ...DNS, ...COLD });
      served();
      reports('a', 0);
      reports('b', 0);
      assert.deepEqual([workSaid(), isActive()], [0, false]);
      // They end, and say nothing before DNS tells of it.
      stack.advance(2_000);
      reports('b', 0);
      stack.advance(1_000);
      assert.equal(workSaid(), 4);
      stack.advance(2_000);
      assert.match(String(workSaid()), /^14 none of 2 endpoints/);
      find();
      assert.match(String(workSaid()), /^14 DNS has no address of digits: /);
      stack.call();
      assert.deepEqual([workSaid(), isActive()], [1, true]);
    });

    it('keeps in mind that replicas were busy before they fell silent', () => {
      start({ ...ASKED, ...DNS, ...COLD });
      served();
      reports('b', 0);
      stack.advance(3_000);
      assert.match(String(workSaid()), /^14 none of 2 endpoints/);
      find();
      stack.call();
      assert.equal(workSaid(), 8);
    });

    it('is one replica for calls that wait, where DNS has never had an address', () => {
      start({ ...ASKED, ...DNS, ...COLD });
      find();
      assert.match(String(workSaid()), /^14 DNS has no address of digits: /);
      stack.call();
      assert.deepEqual([workSaid(), isActive()], [1, true]);
    });

    it('is 0 where the Kubernetes API has no pod, and nothing where it has pods of which none is ready', () => {
      start({ ...ASKED, ...KUBERNETES });
      served();
      find(UNREADY, UNREADY);
      reports('a', 0);
      reports('b', 0);
      assert.match(String(workSaid()), /^14 no endpoint of digits is ready$/);
      find();
      assert.equal(workSaid(), 0);
    });

    it('is nothing where the pods cannot be seen, though calls wait here', () => {
      start({ ...ASKED, ...KUBERNETES, ...COLD });
      find();
      assert.deepEqual([workSaid(), isActive()], [0, false]);
      uncounted = { why: 'found the TCP ports grpc (9443); expected one with the name "peers"', replicas: 2 };
      assert.match(
        String(workSaid()),
        /^14 the replicas of digits are not known: found the TCP ports grpc \(9443\)/,
      );
      stack.call();
      assert.equal(stack.out.outbound.state.breaker.waitingCalls, 1);
      assert.match(String(workSaid()), /^14 the replicas of digits are not known/);
    });

    it('takes pods that are listed without an address of use for ones with their target', () => {
      start({ ...ASKED, ...KUBERNETES });
      served();
      uncounted = { why: undefined, replicas: 3 };
      assert.equal(workSaid(), 20);
      find();
      assert.match(String(workSaid()), /^14 none of 3 endpoints of digits reports its load/);
    });

    it('takes pods that are not ready for ones with their target at least, and calls that wait for no more', () => {
      start({ ...ASKED, ...KUBERNETES, ...COLD });
      for (const name of ['a', 'b', 'c', 'd']) stack.backend(name).mode = 'refuses';
      find(UNREADY, UNREADY, UNREADY, UNREADY);
      for (const name of ['a', 'b', 'c', 'd']) reports(name, 0);
      for (let i = 0; i < 3; i++) stack.call();
      stack.advance(50);
      assert.equal(stack.out.outbound.state.breaker.waitingCalls, 3);
      assert.equal(workSaid(), 16, 'the four stay');
      for (let i = 0; i < 17; i++) stack.call();
      stack.advance(50);
      assert.equal(workSaid({ target: '1' }), 10, 'the calls that wait, at most maxWaiting');
    });

    it('takes pods that are not ready for ones with their target beside others that are', () => {
      start({ ...ASKED, ...KUBERNETES });
      find(undefined, UNREADY, UNREADY, UNREADY);
      for (const name of ['a', 'b', 'c', 'd']) reports(name, 0);
      reports('a', 1);
      assert.equal(workSaid(), 13, 'one call, and three that are starting');
      reports('b', 9);
      assert.equal(workSaid(), 16, 'one that is not ready has its calls still');
    });

    it('does not count pods that end, neither for their calls nor for their target', () => {
      start({ ...ASKED, ...KUBERNETES, ...COLD });
      find(undefined, undefined, ENDING, ENDING);
      reports('a', 3);
      reports('b', 0);
      reports('c', 2);
      assert.equal(workSaid(), 3);
      find(ENDING, ENDING, ENDING, ENDING);
      assert.match(String(workSaid()), /^14 no endpoint of digits is ready$/);
    });

    it('is the calls that wait, where all pods end', () => {
      start({ ...ASKED, ...KUBERNETES, ...COLD });
      for (const name of ['a', 'b']) stack.backend(name).mode = 'refuses';
      find(ENDING, ENDING);
      stack.call();
      stack.advance(100);
      assert.equal(workSaid(), 1);
      assert.equal(isActive(), true);
    });

    it('takes endpoints beyond those that it connects to for ones with their target', () => {
      start({ ...ASKED, ...KUBERNETES, pool: { maxEndpoints: 1 } });
      find(undefined, undefined, undefined, ENDING);
      const [first, ...others] = stack.out.cluster.endpoints.map(({ id }) => id);
      assert.deepEqual(others, ['d'], 'one of each priority');
      reports(first!, 3);
      assert.equal(workSaid(), 3 + 2 * 4);
    });

    it('takes endpoints that are no Outriders for replicas with their target', () => {
      start({ ...ASKED, consul: {} } as unknown as UpstreamOptions);
      const foreign = { isForeign: true };
      findAs([foreign, foreign]);
      assert.match(
        String(workSaid()),
        /^14 none of 2 endpoints of digits reports its load; 2 are not asked: found no metadata outrider in Consul$/,
      );
      findAs([{}, foreign, {}, { ...foreign, isEnding: true }]);
      reports('a', 4);
      reports('c', 4);
      assert.equal(workSaid(), 12, 'three replicas with their target');
      assert.equal(isActive({ activation: '11' }), true);
    });

    it('takes endpoints that are no Outriders for replicas beyond those that it connects to, too', () => {
      start({ ...ASKED, consul: {}, pool: { maxEndpoints: 1 } } as unknown as UpstreamOptions);
      findAs([{ isForeign: true }, { isForeign: true }, { isForeign: true }]);
      assert.match(String(workSaid()), /^14 none of 3 endpoints of digits reports its load/);
    });

    it('leaves out the endpoints of failover targets, and the calls that they have', () => {
      start({ ...ASKED, consul: {}, ...COLD } as unknown as UpstreamOptions);
      const elsewhere = { isFailover: true, priority: 1 };
      const further = { isFailover: true, priority: 2 };
      findAs([{}, {}, elsewhere, further]);
      for (const name of ['a', 'b']) reports(name, 1);
      reports('c', 40);
      assert.equal(workSaid(), 2);
      const unready = { priority: CRITICAL_PRIORITY, critical: UNREADY };
      findAs([unready, unready, elsewhere, further]);
      assert.match(String(workSaid()), /^14 no endpoint of digits is ready$/);
      start({ ...ASKED, consul: {}, pool: { maxEndpoints: 1 } } as unknown as UpstreamOptions);
      findAs([
        {},
        elsewhere,
        elsewhere,
        { ...elsewhere, priority: CRITICAL_PRIORITY + 1, critical: UNREADY },
      ]);
      reports('a', 1);
      assert.equal(workSaid(), 1);
    });

    it('is none for a service whose failover target has all its calls', () => {
      start({ ...ASKED, consul: {} } as unknown as UpstreamOptions);
      findAs([{ isFailover: true, priority: 1 }]);
      reports('a', 9);
      assert.deepEqual([workSaid(), isActive()], [0, false]);
    });

    it('takes a cluster that is not known for one replica with its target, beside clusters that report', () => {
      start({ ...ASKED, consul: {} } as unknown as UpstreamOptions);
      const { endpoints } = anUpstream(['a']);
      const snapshot = {
        routes: [{ split: [{ weight: 1, cluster: MAIN_CLUSTER }] }],
        clusters: new Map([
          [MAIN_CLUSTER, { endpoints }],
          ['next', { endpoints: undefined }],
        ]),
      };
      stack.settle(stack.out.outbound.state.apply(snapshot));
      assert.match(String(workSaid()), /^14 the endpoints of digits are not known yet/);
      reports('a', 0);
      assert.deepEqual([workSaid(), isActive()], [4, true], 'the other may have the calls');
      reports('a', 9);
      assert.equal(workSaid(), 9, 'no reason for more');
    });
  });

  it('of a trigger is its own words again', () => {
    start();
    const body = grpcMessage(GetMetricSpec.requestSerialize(refOf({ metric: 'waiting_tokens' })));
    const { metricSpecs } = GetMetricSpec.responseDeserialize(
      answer(ScalerMethod.metricSpec, body) as Buffer,
    );
    assert.deepEqual(metricSpecs, [
      { metricName: 'outrider-digits-waiting-tokens', targetSize: '4', targetSizeFloat: 4 },
    ]);
  });

  it('to what it does not know is a status', () => {
    start();
    const status = (path: string, body: Buffer) => (answer(path, body) as { readonly status: number }).status;
    const good = grpcMessage(IsActive.requestSerialize(refOf()));
    assert.equal(status('/externalscaler.ExternalScaler/StreamMetricSpec', good), 12);
    assert.equal(status(ScalerMethod.isActive, good.subarray(1)), 3);
    assert.equal(status(ScalerMethod.isActive, grpcMessage(Buffer.from([0x0b]))), 3);
    assert.equal(status(ScalerMethod.isActive, grpcMessage(Buffer.alloc(0))), 3);
    const other = grpcMessage(IsActive.requestSerialize(refOf({ service: 'other' })));
    assert.equal(status(ScalerMethod.isActive, other), 5);
  });
});
