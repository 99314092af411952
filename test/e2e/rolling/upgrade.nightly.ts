/**
 * Sidecars of this version beside those of the version before, on a real Consul and under load: either at the caller, and both
 * while one takes the place of the other. In `.ci/nightly`, because it builds the version before; `OUTRIDER_BEFORE` names another.
 */
import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Build, buildBeforeOrSkip, knowsRollouts, PRESENT } from '../../drills/rolling/builds.js';
import { RollingLoad } from '../../drills/rolling/rolling-load.js';
import { type Place, RollingMesh, SERVICE } from '../../drills/rolling/rolling-mesh.js';
import { consulOrSkip } from '../../kit/consul/consul.js';
import { until } from '../../kit/process/processes.js';

describe('sidecars of this version and of the one before', function () {
  this.timeout(600_000);
  let old: Build;
  let mesh: RollingMesh | undefined;
  let load: RollingLoad | undefined;

  before(async function () {
    await consulOrSkip(this);
    old = buildBeforeOrSkip(this);
  });
  afterEach(async () => {
    await load?.stop();
    await mesh?.close();
    load = undefined;
    mesh = undefined;
  });

  /** A mesh with these builds, and load on it. */
  const begin = async (options: Parameters<typeof RollingMesh.start>[0]) => {
    mesh = await RollingMesh.start(options);
    load = await RollingLoad.start({ target: mesh.target });
    return { mesh, load };
  };
  const tell = (what: string, summary: string) => process.stdout.write(`      ${what}: ${summary}\n`);

  it('understand each other when the caller is of the version before: no call fails', async () => {
    const { load } = await begin({ callerBuild: old });
    for (let i = 0; i < 3; i++) await load.goesOn();
    tell(`caller of ${old.name}`, await load.noneFailed());
  });

  it('understand each other when the replicas are of the version before: no call fails', async () => {
    const { load } = await begin({ replicaBuild: old });
    for (let i = 0; i < 3; i++) await load.goesOn();
    tell(`replicas of ${old.name}`, await load.noneFailed());
  });

  /** Each place in turn gets the build. */
  const roll = async (build: Build, how: (place: Place) => Promise<void>): Promise<void> => {
    for (const place of mesh!.places) {
      place.installation.install(build);
      await how(place);
      await load!.goesOn();
    }
  };
  const takeOver = (place: Place) => place.takeOver();
  /** The caller has no other that could be called meanwhile. */
  const restart = (place: Place) => (place === mesh!.caller ? place.takeOver() : place.restart());

  for (const [how, step] of [
    ['by --takeover', takeOver],
    ['by an end and a start of each replica', restart],
  ] as const)
    it(`follow each other ${how}, and go back: no call fails`, async () => {
      const { load } = await begin({ replicaBuild: old, callerBuild: old });
      await roll(PRESENT, step);
      await roll(old, step);
      tell(`${old.name}, this one, and back`, await load.noneFailed());
    });

  describe('with rollouts', function () {
    this.timeout(170_000);
    const rollout = { samples: 20, window: '1s', follow: false };
    const states = async (place: Place): Promise<string> => {
      const { lives = [] } = await place.report();
      const told = lives.filter(({ state }) => state !== 'stopped');
      return told
        .map(({ version, state }) => `${version} ${state}`)
        .sort()
        .join();
    };
    const serve = (expected: string) =>
      Promise.all(
        mesh!.replicas.map((place) =>
          until(`${place.name}: ${expected}`, async () => (await states(place)) === expected, 40_000),
        ),
      );
    const command = (...args: string[]) => {
      const place = mesh!.replicas[0]!;
      return place.command('rollout', ...args, '--admin', place.admin);
    };
    const begun = (version: string, ...more: string[]) =>
      command(SERVICE, '--model', 'digits', '--version', version, ...more);
    const put = (version: string) =>
      cpSync(join(mesh!.model, '1'), join(mesh!.model, version), { recursive: true });

    before(function () {
      if (knowsRollouts(old)) return;
      process.stderr.write(`\nSKIPPING ROLLOUTS: ${old.name} has none\n`);
      this.skip();
    });

    it('read what the other one has stored: what is served, what was rejected, and what is under way', async () => {
      const { mesh, load } = await begin({ replicaBuild: old, callerBuild: old, rollout });
      put('2');
      const first = await begun('2');
      assert.equal(first.code, 0, first.stdout + first.stderr);
      await roll(PRESENT, restart);
      await serve('2 serving');
      // What this version stores, the version before reads: a version that was rejected, and one that is served.
      put('3');
      writeFileSync(join(mesh.model, '3/model.onnx'), 'no model');
      assert.equal((await begun('3')).code, 1);
      put('4');
      const second = await begun('4');
      assert.equal(second.code, 0, second.stdout + second.stderr);
      put('5');
      const paused = await begun('5', '--detach');
      assert.equal(paused.code, 0, paused.stderr);
      assert.equal((await command('pause', SERVICE)).code, 0);
      await roll(old, restart);
      assert.match((await command('status', SERVICE)).stdout, /4 → 5 · paused/);
      assert.equal((await command('resume', SERVICE)).code, 0);
      await until(
        'it is done',
        async () => /done ·/.test((await command('status', SERVICE)).stdout),
        120_000,
      );
      for (const place of mesh.replicas)
        assert.match(await states(place), /5 serving/, `${place.name} serves what it rolled out`);
      const [state] = mesh.replicas.map((place) => mesh.stateOf(place));
      assert.match(readFileSync(join(state!, `${SERVICE}-1.models.json`), 'utf8'), /"5"/);
      tell(`rollouts of ${old.name} and of this one`, await load.noneFailed());
    });
  });
});
