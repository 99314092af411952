/**
 * For .ci/nightly, as the alerts wait for minutes: a Prometheus that finds a mesh in Consul by the configuration of the
 * documents as it stands, and the rules on a mesh that is well and then has a fault drill. `npx mocha
 * dist/test/e2e/nightly-prometheus.js`
 */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { digitLoad } from '../drills/faults/digit-load.js';
import type { Load } from '../drills/faults/load.js';
import { meshFile } from '../kit/config/mesh-file.js';
import { consulOrSkip } from '../kit/consul/consul.js';
import { Prometheus } from '../kit/observe/prometheus.js';
import { admin, Mesh, REPOSITORY, type UpFacts } from '../kit/process/outrider.js';
import { until } from '../kit/process/processes.js';
import { toolOrSkip } from '../kit/process/tools.js';

type Facts = UpFacts & { readonly consul: { readonly address: string } };

const read = (name: string): string => readFileSync(join(REPOSITORY, 'mesh-config/observe', name), 'utf8');
const HOUR_MS = 3_600_000;

describe('Prometheus beside a mesh on Consul', function () {
  this.timeout(HOUR_MS);
  let mesh: Mesh;
  let facts: Facts;
  let prometheus: Prometheus;
  let load: Load;

  before(async function () {
    await consulOrSkip(this);
    this.timeout(HOUR_MS);
    const program = await toolOrSkip(this, 'prometheus-on-consul');
    mesh = Mesh.start(meshFile({ replicas: 3, more: 'observe: 127.0.0.1:0\nfault_injection: true\n' }), [
      '--consul',
      'dev',
    ]);
    facts = (await mesh.ready()) as Facts;
    const config = read('prometheus-consul.yml').replace(
      '127.0.0.1:8500',
      new URL(facts.consul.address).host,
    );
    // Sooner than in the documents, so that the test does not take long; what is waited for is the rules' own time.
    const files = { 'outrider.rules.yml': read('outrider.rules.yml') };
    prometheus = await Prometheus.start(program, config.replaceAll(': 15s', ': 5s'), files);
    load = await digitLoad({ target: facts.call['digits']!, perSecond: 20, deadlineMs: 5_000 });
  });

  after(async () => {
    await load?.stop();
    await prometheus?.discard();
    await mesh?.discard();
  });

  const named = async (name: string) =>
    (await prometheus.alerts()).filter(({ labels }) => labels['alertname'] === name);

  it('finds every sidecar once, by its name', async () => {
    const names = facts.sidecars.map(({ name }) => name).sort();
    await until(
      'all are scraped',
      async () => {
        const targets = await prometheus.targets();
        const found = targets.filter(({ health }) => health === 'up').map(({ labels }) => labels['instance']);
        return found.sort().join() === names.join();
      },
      60_000,
    );
  });

  it('has no alert for three minutes of a mesh that is well', async () => {
    const endMs = performance.now() + 180_000;
    await until(
      'three minutes are over',
      async () => {
        assert.deepEqual(await prometheus.alerts(), []);
        return performance.now() > endMs;
      },
      240_000,
    );
    const [answered] = await prometheus.query('sum(outrider:calls:rate5m)');
    assert.ok(Number(answered!.value[1]) > 1, `${answered?.value[1]} calls a second`);
  });

  it('says that calls fail, and that a drill does it, and nothing of sidecars that are well', async () => {
    const { status } = await admin(
      facts.admin,
      '/faults?upstream=digits&abort=unavailable&ratio=0.5&for=15m',
      'POST',
    );
    assert.equal(status, 201);
    const firing = async (name: string) =>
      until(
        `${name} fires`,
        async () => (await named(name)).find(({ state }) => state === 'firing'),
        600_000,
      );
    const drill = await firing('OutriderFaultDrill');
    assert.equal(drill.annotations['summary'], 'A drill injects faults at client');
    const burning = await firing('OutriderErrorBudgetBurnsFast');
    assert.deepEqual([burning.labels['service'], burning.labels['severity']], ['digits', 'critical']);
    assert.match(burning.annotations['summary']!, /^digits: [1-5]\d[.\d]*% of the calls fail$/);
    const others = (await prometheus.alerts()).map(({ labels }) => labels['alertname']);
    const expected = ['OutriderErrorBudgetBurnsFast', 'OutriderErrorBudgetBurns', 'OutriderFaultDrill'];
    assert.deepEqual(
      others.filter((name) => !expected.includes(name!)),
      [],
    );
  });
});
