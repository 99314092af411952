/** A short run of every fault of Consul, on real processes under load; `npm run faults -- consul` takes the full times. */

import assert from 'node:assert/strict';
import { consulFaults } from '../drills/consul/main.js';
import type { ConsulWorld } from '../drills/consul/world.js';
import { runRow } from '../drills/faults/run.js';
import { consulOrSkip } from '../kit/consul/consul.js';

describe('faults of Consul under load', function () {
  this.timeout(120_000);
  let world: ConsulWorld;

  before(async function () {
    await consulOrSkip(this);
    world = await consulFaults.open();
  });

  after(async () => {
    if (world !== undefined) await consulFaults.close(world);
  });

  for (const row of consulFaults.rows)
    it(row.fault, async () => {
      const { criteria } = await runRow(row, world, 'short');
      const missed = criteria.filter(({ kept }) => !kept);
      assert.ok(criteria.length > 0);
      assert.deepEqual(missed, []);
    });
});
