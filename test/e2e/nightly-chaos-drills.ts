/**
 * For .ci/nightly, as each drill takes a quarter of a minute: the drills of `outrider chaos` that break machines and what a mesh leans
 * on. `npx mocha dist/test/e2e/nightly-chaos-drills.js`
 */

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { whyNoConsul } from '../../sidecar/cli/chaos/faults/own-consul.js';
import { whyNoOwnNetwork } from '../../sidecar/cli/chaos/faults/own-network.js';
import { whyNoSmallDisk } from '../../sidecar/cli/chaos/faults/small-disk.js';
import type { Summary } from '../../sidecar/cli/chaos/report/report.js';
import { outcomeOf, outrider, Scratch, startOutrider } from '../kit/process/outrider.js';
import { processesWith } from '../kit/process/processes.js';
import { toolOrSkip } from '../kit/process/tools.js';

/** Calls that are lost whatever is done: jobs in flight that must not be done twice, and a call in the moment of the fault. */
const FEW = 6;

describe('drills of machines, Consul and certificates', function () {
  this.timeout(120_000);
  let place: Scratch;
  beforeEach(() => {
    place = new Scratch();
  });
  afterEach(() => place.remove());

  async function run(drill: string): Promise<Summary['figures'][number]> {
    const args = ['chaos', drill, '--setups', 'outrider', '--json'];
    const { code, stdout, stderr } = await outrider(args, { TMPDIR: place.path });
    assert.equal(code, 0, stderr + stdout);
    const { figures } = JSON.parse(stdout) as Summary;
    assert.deepEqual(
      figures.map(({ drill: name, arm }) => `${name} ${arm}`),
      [`${drill} outrider`],
      stderr,
    );
    assert.deepEqual(readdirSync(place.path), []);
    assert.deepEqual(processesWith(place.path), []);
    return figures[0]!;
  }

  const survives = (drill: string) => async () => {
    const { counts, recoveryMs } = await run(drill);
    assert.ok(counts.failed + counts.wrong <= FEW, JSON.stringify(counts));
    assert.notEqual(recoveryMs?.median, 'never');
  };

  for (const drill of ['bad-neighbour', 'no-descriptors'])
    it(`${drill}: hardly a call is lost`, survives(drill));

  it('clock-step: hardly a call is lost', async function () {
    await toolOrSkip(this, 'libfaketime');
    await survives('clock-step')();
  });

  it('disk-full: hardly a call is lost', async function () {
    if (whyNoSmallDisk() !== undefined) return this.skip();
    await survives('disk-full')();
  });

  for (const drill of ['partition', 'packet-loss'])
    it(`${drill}: hardly a call is lost`, async function () {
      if (whyNoOwnNetwork() !== undefined) return this.skip();
      await survives(drill)();
    });

  for (const drill of ['consul-gone', 'consul-emptied', 'consul-lying'])
    it(`${drill}: hardly a call is lost`, async function () {
      if ((await whyNoConsul()) !== undefined) return this.skip();
      await survives(drill)();
    });

  it('consul-forgets: connections under the lost authority end, and all is as before within seconds', async function () {
    if ((await whyNoConsul()) !== undefined) return this.skip();
    const { counts, recoveryMs } = await run('consul-forgets');
    assert.ok(counts.failed + counts.wrong < counts.calls / 20, JSON.stringify(counts));
    assert.notEqual(recoveryMs?.median, 'never');
  });

  it('leaf-expiry: calls fail while there is no valid certificate, and no longer', async () => {
    const { counts, recoveryMs } = await run('leaf-expiry');
    assert.ok(counts.failed > 50, JSON.stringify(counts));
    const tookMs = recoveryMs?.median;
    assert.ok(typeof tookMs === 'number' && tookMs < 10_500, `${tookMs}`);
  });

  for (const second of ['slow', 'partition'])
    it(`ended by Ctrl-C before ${second}: reports the drills until then, and leaves nothing`, async () => {
      const report = join(place.path, 'report');
      const args = ['chaos', 'kill', second, '--quick', '--setups', 'outrider', '--json', '--report', report];
      const child = startOutrider(args, { TMPDIR: place.path });
      const { stderr } = child;
      stderr?.on('data', (part: Buffer) => {
        if (/kill .* of /.test(String(part))) child.kill('SIGINT');
      });
      const outcome = await outcomeOf(child);
      assert.equal(outcome.code, 1, outcome.stderr);
      assert.match(outcome.stderr, /stopped early: ended by SIGINT/);
      const { figures, skipped } = JSON.parse(outcome.stdout) as Summary;
      assert.deepEqual(
        figures.map(({ drill }) => drill),
        ['kill'],
      );
      assert.deepEqual(skipped, [{ drill: second, arm: 'outrider', because: 'ended by SIGINT' }]);
      assert.deepEqual(readdirSync(place.path), ['report']);
      assert.deepEqual(processesWith(place.path), []);
    });
});
