import assert from 'node:assert/strict';
import { Endpoint } from '../../../../sidecar/cluster/endpoint.js';
import { ModelClaims } from '../../../../sidecar/cluster/served-models/model-claims.js';
import { present } from '../../../../sidecar/config/present.js';
import { RoundRobin } from '../../../../sidecar/core/balancing/round-robin.js';
import { EjectionPool } from '../../../../sidecar/core/outlier/ejection-pool.js';
import type { Pool } from '../../../../sidecar/transport/pool.js';
import { addressOf, anUpstream } from '../../../kit/stack/stack.js';

const ejections = new EjectionPool(anUpstream([]).ejection, () => 0.5);

function endpoint(
  name: string,
  models?: readonly string[],
  versions?: Readonly<Record<string, readonly string[]>>,
): Endpoint {
  const claims = { ...present('models', models), ...present('versions', versions) };
  const made = new Endpoint({ address: addressOf(name), weight: 1, id: name, ...claims }, 'digits');
  made.pool = { isConnecting: false } as Pool;
  made.ejections = ejections;
  made.ejection.isAvailable = true;
  made.isConnected = true;
  return made;
}

const of = (...endpoints: Endpoint[]) => ModelClaims.of(endpoints, () => new RoundRobin());

describe('The models that endpoints claim', () => {
  it('matter only where they differ', () => {
    assert.equal(of(), null);
    assert.equal(of(endpoint('a'), endpoint('b')), null);
    assert.equal(of(endpoint('a', ['x', 'y']), endpoint('b', ['y', 'x']), endpoint('c')), null);
    assert.deepEqual([...of(endpoint('a', ['x']), endpoint('b', ['x', 'y']))!.models], ['x', 'y']);
  });

  it('are at those that name them, and may be at those that name none', () => {
    const [a, b, c] = [endpoint('a', ['x']), endpoint('b', ['y']), endpoint('c')];
    const claims = of(a, b, c)!;
    assert.deepEqual(claims.groupOf('x', '')!.endpoints, [a, c]);
    assert.equal(claims.groupOf('x', '')!.has(b), false);
    assert.equal(claims.groupOf('z', ''), undefined);
  });

  it('are told apart by version where the versions differ', () => {
    const [a, b, c] = [
      endpoint('a', ['x'], { x: ['1', '2'] }),
      endpoint('b', ['x'], { x: ['2', '3'] }),
      endpoint('c', ['x', 'y']),
    ];
    const claims = of(a, b, c)!;
    const at = (version: string, model = 'x') => claims.groupOf(model, version)!.endpoints;
    assert.deepEqual(
      [at('1'), at('2'), at('3')],
      [
        [a, c],
        [a, b, c],
        [b, c],
      ],
    );
    assert.deepEqual([at(''), at('9'), at('1', 'y')], [[a, b, c], [a, b, c], [c]]);
    assert.deepEqual(at('constructor'), [a, b, c]);
    const even = { x: ['1'] };
    assert.equal(of(endpoint('a', ['x'], even), endpoint('b', ['x'], even)), null);
    assert.notEqual(of(endpoint('a', ['x'], even), endpoint('b', ['x'], { x: ['2'] })), null);
  });

  it('are remembered up to a bound', () => {
    const many = Array.from({ length: 5_000 }, (_, i) => `m${i}`);
    assert.equal([...of(endpoint('a', many), endpoint('b', ['x']))!.models].length, 1_024);
  });

  it('are found at an endpoint that gets calls, then at one of another priority, then at an ejected or a connecting one', () => {
    const [a, b, c, other] = [
      endpoint('a', ['x']),
      endpoint('b', ['x']),
      endpoint('c', ['x']),
      endpoint('o', ['y']),
    ];
    const group = of(a, b, c, other)!.groupOf('x', '')!;
    b.eligible = false;
    b.ejection.isAvailable = false;
    b.isConnected = false;
    b.pool = { isConnecting: true } as Pool;
    c.eligible = false;
    c.priority = 1;
    assert.equal(group.pick([], 0), a);
    assert.equal(group.pick([a], 0), c);
    assert.equal(group.pick([a, c], 0), b);
    assert.equal(group.pick([a, b, c], 0), undefined);
    assert.deepEqual([group.hasUntried([a, c]), group.hasUntried([a, b, c])], [true, false]);
    a.eligible = false;
    a.ejection.state = 1;
    assert.equal(group.pick([c], 0), a, 'ejected, and connected');
    a.ejection.isDown = true;
    assert.equal(group.pick([c], 0), b, 'its own sidecar says that it cannot serve');
  });
});
