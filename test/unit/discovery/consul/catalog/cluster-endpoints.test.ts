/** Instances as endpoints: how many of very many, and which. */
import assert from 'node:assert/strict';
import { ClusterEndpoints } from '../../../../../sidecar/discovery/consul/catalog/cluster-endpoints.js';
import type { Instance } from '../../../../../sidecar/discovery/consul/parser/instances.js';
import { anInstance } from '../../../../kit/consul/answers.js';

function instances(count: number, over: (i: number) => Partial<Instance> = () => ({})): Instance[] {
  return Array.from({ length: count }, (_, i) => anInstance(`10.0.${i >> 8}.${i & 255}`, over(i)));
}

const target = { service: 'web' };

describe('Endpoints of a cluster', () => {
  it('endpoints of a cluster are all instances when they are few', () => {
    const endpoints = new ClusterEndpoints(1).of([{ target, instances: instances(5) }], 5);
    assert.equal(endpoints.length, 5);
  });

  it('endpoints of a cluster are a stable subset of very many, of each priority its own', () => {
    const all = instances(1000, (i) => (i % 4 === 0 ? { status: 'critical', why: 'no' } : {}));
    const made = new ClusterEndpoints(1);
    const first = made.of([{ target, instances: all }], 20);
    const of = (priority: number) => first.filter((each) => each.priority === priority).length;
    assert.deepEqual([first.length, of(0), of(1000)], [40, 20, 20]);
    const [gone] = first;
    const rest = all.filter(({ id }) => id !== gone!.id);
    const second = made.of([{ target, instances: rest }], 20);
    assert.equal(second.filter((each) => !first.includes(each)).length, 1, 'only the gap is filled');
    const others = new ClusterEndpoints(2).of([{ target, instances: all }], 20);
    const ids = new Set(first.map(({ id }) => id));
    const strangers = others.filter(({ id }) => !ids.has(id));
    assert.ok(strangers.length > 0, 'another sidecar has others');
  });

  it('endpoints of a cluster end where their sidecar drains, and not where their checks fail', () => {
    const saying = ['proxy: draining', 'model: it stopped draining its queue', ''];
    const all = instances(3, (i) => ({ status: 'critical', why: saying[i]! }));
    const made = new ClusterEndpoints(1).of([{ target, instances: all }], 20);
    assert.deepEqual(
      made.map(({ isEnding }) => isEnding),
      [true, undefined, undefined],
    );
  });

  it('endpoints of a cluster are those of failover targets where the first target does not name them too', () => {
    const [a, b, c] = instances(3);
    const passing = { target, instances: [a!, b!] };
    const strict = { target, instances: [{ ...a!, status: 'critical', why: 'no' } as Instance] };
    const made = new ClusterEndpoints(1);
    const of = (first: typeof passing) =>
      made
        .of([first, { target: { service: 'web', datacenter: 'dc2' }, instances: [a!, c!] }], 20)
        .map(({ id, priority, isFailover }) => `${id} ${priority} ${isFailover}`);
    assert.deepEqual(of(passing), ['10.0.0.0 0 undefined', '10.0.0.1 0 undefined', '10.0.0.2 1 true']);
    assert.deepEqual(of(strict), ['10.0.0.0 1 undefined', '10.0.0.2 1 true'], 'by the first it only warns');
    assert.deepEqual(of({ target, instances: [] }), ['10.0.0.0 1 true', '10.0.0.2 1 true']);
  });

  it('endpoints of a cluster leave out instances without weight when there are too many', () => {
    const all = instances(100, (i) => (i % 2 === 0 ? { weight: 0 } : {}));
    const endpoints = new ClusterEndpoints(1).of([{ target, instances: all }], 20);
    assert.equal(endpoints.length, 20);
    assert.ok(endpoints.every(({ weight }) => weight > 0));
  });
});
