/**
 * A short run of the faults of Consul, on real processes under load; `npm run faults -- consul` runs all of them for the
 * full times. Of the answers that say nothing, one of each kind is here.
 */

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { consulFaults } from '../drills/consul/main.js';
import type { ConsulWorld } from '../drills/consul/world.js';
import { keepsInShort } from '../drills/faults/in-suite.js';
import { consulOrSkip } from '../kit/consul/consul.js';
import { testFile } from '../kit/process/tools.js';

/** By name: the test that holds the same with a real agent in less time; of answers, that they are outlived and asked for rarely. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  'status-403': 'stack/discovery/queries',
  'status-429': 'stack/discovery/queries',
  garbage: 'stack/discovery/queries',
  'index-falling': 'stack/discovery/queries',
  'index-zero': 'stack/discovery/queries',
  'status-500': 'stack/discovery/queries',
  'index-looping': 'stack/discovery/queries',
  huge: 'stack/discovery/queries',
  'agent-forgets': 'stack/discovery/registration',
  'agent-emptied': 'stack/discovery/registration',
  'leaf-rotation': 'stack/discovery/connect-identity',
  'root-rotation': 'stack/discovery/connect-identity',
  'intention-flipped': 'stack/discovery/intentions',
};

/** For their full times alone, by `npm run faults -- consul` in .ci/nightly: a short run of each takes ten seconds and more. */
const AT_NIGHT: readonly string[] = [
  'catalogue-emptied',
  'hanging',
  'replica-deregistered',
  'foreign-emptied',
  'restart-without-keys',
  'leaf-expired',
  // By day in memory: scenario/discovery/consul-empties.
  'all-critical',
];

describe('faults of Consul under load', function () {
  this.timeout(240_000);
  let world: ConsulWorld;

  before(async function () {
    await consulOrSkip(this);
    world = await consulFaults.open();
  });

  after(async () => {
    if (world !== undefined) await consulFaults.close(world);
  });

  it('leave out only rows that there are, each for a test that there is or for the night', () => {
    const rows = consulFaults.rows.map(({ name }) => name);
    for (const name of AT_NIGHT) assert.ok(rows.includes(name), name);
    for (const [name, test] of Object.entries(ELSEWHERE)) {
      assert.ok(rows.includes(name), name);
      assert.ok(existsSync(testFile(`${test}.test.ts`)), test);
    }
  });

  for (const row of consulFaults.rows.filter(
    ({ name }) => !Object.hasOwn(ELSEWHERE, name) && !AT_NIGHT.includes(name),
  ))
    it(row.fault, function () {
      return keepsInShort(this, row, world);
    });
});
