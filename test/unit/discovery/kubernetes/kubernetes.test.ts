import assert from 'node:assert/strict';
import type { UpstreamConfig } from '../../../../sidecar/config/model.js';
import type { ApiEvents, KubernetesApi } from '../../../../sidecar/discovery/kubernetes/api-client.js';
import { KubernetesDiscovery } from '../../../../sidecar/discovery/kubernetes/kubernetes.js';
import type { UpstreamSnapshot } from '../../../../sidecar/discovery/snapshot.js';
import { sliceJson } from '../../../kit/process/kubernetes-api.js';
import { silentLogger } from '../../../kit/stack/silent-logger.js';
import { ManualClock } from '../../../kit/time/manual-clock.js';
import { constant } from '../../../kit/time/seeded-random.js';

describe('Upstreams by Services of Kubernetes', () => {
  const clock = new ManualClock();
  const asked: ApiEvents[] = [];
  const api: KubernetesApi = {
    ownNamespace: () => 'models',
    get: (_config, _path, events) => {
      asked.push(events);
      return { cancel: () => {} };
    },
  };
  const deps = { clock, timers: clock, random: constant(0.5), logger: silentLogger };
  const discovery = new KubernetesDiscovery({ ...deps, api, isAnswering: () => true });
  const named = (more: object) => ({ name: 'digits', ...more }) as UpstreamConfig;
  const read = (name: string) =>
    discovery
      .metrics()
      .flatMap((each) => (each.kind !== 'histogram' && each.name === name ? each.samples : []));

  it('are reported and measured only where there are any', () => {
    discovery.watchUpstream(named({}), () => assert.fail('nothing is followed')).close();
    assert.deepEqual([discovery.reports(), discovery.metrics(), asked.length], [[], [], 0]);
  });

  it('have one cluster with the endpoints, and numbers with the upstream as label', () => {
    const seen: UpstreamSnapshot[] = [];
    const kubernetes = { service: 'digits', family: 'any' };
    const subscription = discovery.watchUpstream(named({ kubernetes }), (next) => seen.push(next));
    assert.deepEqual(read('outrider_kubernetes_age_seconds'), []);
    const endpoints = [
      { address: '10.0.0.1', pod: 'a' },
      { address: '10.0.0.2', pod: 'b', terminating: true },
    ];
    const body = { metadata: { resourceVersion: '1' }, items: [sliceJson('s', { endpoints })] };
    asked[0]!.head(200, undefined);
    asked[0]!.data(Buffer.from(JSON.stringify(body)));
    asked[0]!.end(undefined);
    assert.deepEqual([...seen[0]!.clusters.keys()], ['']);
    assert.equal(seen[0]!.clusters.get('')!.endpoints!.length, 2);
    const one = [{ labels: { upstream: 'digits' }, value: 1 }];
    for (const name of ['endpoints', 'terminating_endpoints', 'lists_total'])
      assert.deepEqual(read(`outrider_kubernetes_${name}`), one, name);
    assert.equal(discovery.problemOf('digits'), undefined);
    subscription.close();
    assert.deepEqual(discovery.reports(), []);
  });
});
