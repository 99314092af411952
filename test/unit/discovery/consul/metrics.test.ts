import assert from 'node:assert/strict';
import { metrics } from '../../../../sidecar/discovery/consul/metrics.js';
import type { QueryStatus } from '../../../../sidecar/discovery/consul/query/query-spec.js';

const status = (name: string, more: Partial<QueryStatus> = {}): QueryStatus => ({
  name,
  state: 'current',
  index: 5,
  ageMs: 1_500,
  answers: 3,
  failures: 0,
  resets: 0,
  rereads: 0,
  bytes: 100,
  ...more,
});

function samples(statuses: readonly QueryStatus[], name: string): unknown {
  const family = metrics(statuses).find((each) => each.name === name);
  assert.ok(family !== undefined && family.kind !== 'histogram');
  return family.samples.map(({ labels, value }) => [labels['query'], value]);
}

describe('the metrics of blocking queries', () => {
  it('metrics of queries have one row a query', () => {
    const failing = { state: 'failing', problem: '403 Permission denied' } as const;
    const statuses = [
      status('roots', { bytes: 7 }),
      status('leaf', { ...failing, failures: 4, resets: 2, rereads: 1 }),
    ];
    const row = (name: string, value: number) => [name, value];
    for (const [name, roots, leaf] of [
      ['outrider_consul_query_failing', 0, 1],
      ['outrider_consul_age_seconds', 1.5, 1.5],
      ['outrider_consul_answers_total', 3, 3],
      ['outrider_consul_failures_total', 0, 4],
      ['outrider_consul_index_resets_total', 0, 2],
      ['outrider_consul_rereads_total', 0, 1],
      ['outrider_consul_bytes_total', 7, 100],
    ] as const)
      assert.deepEqual(samples(statuses, name), [row('roots', roots), row('leaf', leaf)], name);
    assert.ok(!JSON.stringify(metrics(statuses)).includes('Permission'));
  });

  it('metrics of queries show Consul as up while any query succeeds', () => {
    const up = (...states: QueryStatus['state'][]) => {
      const statuses = states.map((state, i) => status(`${i}`, { state }));
      return samples(statuses, 'outrider_consul_up');
    };
    assert.deepEqual(up('current', 'failing'), [[undefined, 1]]);
    assert.deepEqual(up('cached', 'failing', 'waiting'), [[undefined, 0]]);
    assert.deepEqual(up(), [[undefined, 0]]);
  });

  it('metrics of queries have no age before the first answer', () => {
    const fresh = status('a', { ageMs: Number.POSITIVE_INFINITY });
    assert.deepEqual(samples([fresh], 'outrider_consul_age_seconds'), []);
  });

  it('metrics of queries add up queries of one name, and show the worse state', () => {
    const two = [status('a', { ageMs: 100 }), status('a', { state: 'failing', problem: 'no', answers: 4 })];
    assert.deepEqual(samples(two, 'outrider_consul_answers_total'), [['a', 7]]);
    assert.deepEqual(samples(two, 'outrider_consul_query_failing'), [['a', 1]]);
    assert.deepEqual(samples(two, 'outrider_consul_age_seconds'), [['a', 1.5]]);
    assert.deepEqual(samples(two, 'outrider_consul_up'), [[undefined, 1]]);
  });

  it('metrics of queries are followed by those of other parts', () => {
    const extra = { kind: 'gauge', name: 'x', help: 'x', samples: [] } as const;
    assert.equal(metrics([], [extra]).at(-1), extra);
  });
});
