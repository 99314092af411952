/** Rollouts under load, as an operator makes them: a good version goes through, a bad one comes back, and no call fails. */
import assert from 'node:assert/strict';
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RolloutView } from '../../../sidecar/core/models/rollout.js';
import { RollingLoad } from '../../drills/rolling/rolling-load.js';
import {
  DIGITS_MODELS,
  Mesh,
  outrider,
  reportOf,
  Scratch,
  type UpFacts,
} from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';
import { ModelLoad } from '../../kit/service/model-load.js';
import { TestClient } from '../../kit/service/model-server.js';
import { putOddVersion } from '../../kit/service/odd-version.js';

describe('a rollout', function () {
  this.timeout(60_000);

  let scratch: Scratch;
  let model: string;
  let mesh: Mesh;
  let facts: UpFacts;
  let client: TestClient;
  let load: ModelLoad;
  /** Streams and calls of 600 KB beside it. */
  let mixed: RollingLoad;
  let admin: string[];

  before(async () => {
    scratch = new Scratch();
    model = join(scratch.path, 'models', 'digits');
    cpSync(join(DIGITS_MODELS, 'digits'), model, { recursive: true });
    mesh = Mesh.start(`
services:
  mine:
    models: ${join(scratch.path, 'models')}
    replicas: 2
    rollout: { samples: 30, window: 1s, follow: false }
state_dir: ${join(scratch.path, 'state')}
audit: { directory: ${join(scratch.path, 'audit')} }
caller: { name: app, admin: 127.0.0.1:0, upstreams: { mine: { listen: 127.0.0.1:0 } } }
intentions: [{ from: app, to: mine, action: allow }]
`);
    facts = await mesh.ready();
    admin = facts.sidecars.filter(({ role }) => role === 'replica').map((each) => each.admin);
    client = new TestClient(facts.call['mine']!);
    load = ModelLoad.start(client, { callers: 2, pauseMs: 25 });
    // Few: what is judged are the calls of `load`, and each of these takes many times their CPU.
    const few = { perSecond: 5, largePerSecond: 1 };
    mixed = await RollingLoad.start({ target: facts.call['mine']!, ...few });
    await until('calls go through', () => load.ok > 20);
  });
  after(async () => {
    await load?.stop();
    await mixed?.stop();
    client?.close();
    await mesh.discard();
    scratch.remove();
  });

  // Both are asked: until the second one has read the record, the first one does not know of it.
  const rollout = (...args: string[]) =>
    outrider(['rollout', ...args, ...admin.flatMap((each) => ['--admin', each])]);
  const start = (version: string, ...args: string[]) =>
    rollout('mine', '--model', 'digits', '--version', version, ...args);
  const served = async (): Promise<string[]> => {
    const all = await Promise.all(admin.map((each) => reportOf(each)));
    return all.map(({ lives = [] }) =>
      lives
        .filter(({ state }) => state !== 'stopped')
        .map(({ version, state }) => `${version} ${state}`)
        .sort()
        .join(),
    );
  };

  it('of a good version reaches every replica, one after the other, and no call fails', async () => {
    cpSync(join(model, '1'), join(model, '2'), { recursive: true });
    const { code, stdout, stderr } = await start('2', '--canary', '20%');
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /digits 1 → 2 · running · 0 of 2 replicas · mine-1 shadow/);
    assert.match(stdout, /100 % of \d+ answers agree/);
    assert.match(stdout, /mine-1 canary/);
    assert.match(stdout, /1 of 2 replicas · mine-2 watching/);
    assert.match(stdout, /done · 2 of 2 replicas/);
    await until('version 1 is gone', async () => (await served()).join(' ') === '2 serving 2 serving');
    assert.deepEqual([load.failures, mixed.failures], [[], []]);
    assert.deepEqual(load.versions, ['1', '2']);
  });

  it('of a version that agrees in 60 % of answers is rejected with the figure, and no call sees it', async () => {
    // A busy machine may have had one ejected for its latency while the other one loaded.
    await until(
      'both replicas are called',
      async () => (await reportOf(facts.admin)).endpoints.every(({ state }) => state === 'eligible'),
      30_000,
    );
    putOddVersion(model, '1', '3', 'agrees-60');
    const { code, stdout, stderr } = await start('3');
    assert.equal(code, 1, stdout + stderr);
    // How many are compared before the first wrong ones are enough, is chance.
    const figure =
      /rejected · 0 of 2 replicas · mine-1: (\d+(?:\.\d)?) % of \d+ answers agree \(\d+\), expected 98 %/;
    assert.match(stdout, figure);
    assert.ok(Number(figure.exec(stdout)![1]) < 98, stdout);
    assert.deepEqual(await served(), ['2 serving,3 rejected', '2 serving']);
    assert.deepEqual(load.versions, ['1', '2']);
    assert.deepEqual([load.failures, mixed.failures], [[], []]);
    const status = await rollout('status', 'mine', '--json');
    const { record } = JSON.parse(status.stdout) as RolloutView;
    assert.equal(record?.state, 'rejected');
  });

  it('of a version that is missing says so, and a second rollout meanwhile is refused and names the first', async () => {
    const { code, stdout, stderr } = await start('9', '--detach');
    assert.equal(code, 0, stdout + stderr);
    const second = await start('3', '--detach');
    assert.equal(second.code, 1);
    assert.match(second.stderr, /a rollout is under way: digits from version 2 to 9: running/);
    const aborted = await rollout('abort', 'mine');
    assert.match(aborted.stdout, /digits 2 → 9 · (rolling-back|aborted)/);
    await until('it is over', async () => /aborted ·/.test((await rollout('status', 'mine')).stdout));
    assert.deepEqual([load.failures, mixed.failures], [[], []]);
    const audit = readFileSync(join(scratch.path, 'audit', 'mine-1.jsonl'), 'utf8');
    for (const state of ['running', 'done', 'rejected', 'aborted'])
      assert.match(audit, new RegExp(`"rollout-changed".*"state":"${state}"`));
  });
});
