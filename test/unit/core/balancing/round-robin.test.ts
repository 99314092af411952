import assert from 'node:assert/strict';
import { RoundRobin } from '../../../../sidecar/core/balancing/round-robin.js';
import { endpoint, shares } from '../../../kit/core/endpoints.js';

describe('RoundRobin', () => {
  it('gives each its exact share in every full turn, spread evenly', () => {
    const pool = [endpoint({ weight: 5 }), endpoint({ weight: 1 }), endpoint({ weight: 1 })];
    const balancer = new RoundRobin();
    const turn = [0, 0, 1, 0, 2, 0, 0];
    const picks = Array.from({ length: 14 }, () => pool.indexOf(balancer.pick(pool, [], 0)!));
    assert.deepEqual(picks, [...turn, ...turn]);
  });

  it('goes on evenly when an endpoint leaves', () => {
    const pool = [endpoint(), endpoint(), endpoint()];
    const balancer = new RoundRobin();
    balancer.pick(pool, [], 0);
    pool[0]!.eligible = false;
    const [, b, c] = shares(balancer, pool, 100);
    assert.deepEqual([b, c], [0.5, 0.5]);
  });
});
