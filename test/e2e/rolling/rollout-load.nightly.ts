/**
 * Rollouts with two processes for each replica, at twice the load of `test/e2e/sidecar/rollout`, with calls of 600 KB and
 * streams under way; and a version that fails only once calls go to it. In `.ci/nightly`, because it needs the machine.
 */
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import type { ModelInferRequest } from '../../../proto/messages.js';
import { RollingLoad } from '../../drills/rolling/rolling-load.js';
import { sumOfSamples } from '../../kit/process/metrics-page.js';
import {
  admin,
  DIGITS_MODELS,
  Mesh,
  outrider,
  reportOf,
  Scratch,
  type SidecarFacts,
  type UpFacts,
} from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';
import { putOddVersion } from '../../kit/service/odd-version.js';

/** Calls at a replica at once. */
const CONCURRENCY = 64;
const PER_SECOND = Number(process.env['OUTRIDER_ROLLOUT_CALLS'] ?? 200);

describe('a rollout under load of every kind', function () {
  this.timeout(180_000);
  let scratch: Scratch;
  let model: string;
  let mesh: Mesh;
  let facts: UpFacts;
  let load: RollingLoad | undefined;

  /** `settings`: of `rollout`; `service`: more lines of the service. */
  const begin = async (settings: string, service = ''): Promise<void> => {
    scratch = new Scratch();
    model = join(scratch.path, 'models', 'digits');
    cpSync(join(DIGITS_MODELS, 'digits'), model, { recursive: true });
    mesh = Mesh.start(`
services:
  mine:
    models: ${join(scratch.path, 'models')}
    replicas: 2
    # What waits while the machine does something else is not what is tested.
    queue: { concurrency: ${CONCURRENCY}, max_waiting: 4096 }
    rollout: { ${settings}, follow: false }
    ${service}
state_dir: ${join(scratch.path, 'state')}
caller:
  name: app
  admin: 127.0.0.1:0
  upstreams:
    mine:
      listen: 127.0.0.1:0
      routes:
        - methods: [/inference.GRPCInferenceService/ModelInfer]
          idempotent: true
          retry: { attempts: 3, on: [unavailable, internal] }
intentions: [{ from: app, to: mine, action: allow }]
`);
    facts = await mesh.ready();
  };
  afterEach(async () => {
    await load?.stop();
    load = undefined;
    await mesh?.discard();
    scratch?.remove();
  });

  const replicas = (): SidecarFacts[] => facts.sidecars.filter(({ role }) => role === 'replica');
  const caller = (): SidecarFacts => facts.sidecars.find(({ role }) => role === 'caller')!;
  // Both are asked: until the second one has read the record, the first one does not know of it.
  const rollout = (...args: string[]) =>
    outrider(['rollout', ...args, ...replicas().flatMap((each) => ['--admin', each.admin])]);
  const start = (version: string, ...args: string[]) =>
    rollout('mine', '--model', 'digits', '--version', version, ...args);
  const serving = async (): Promise<string> => {
    const all = await Promise.all(replicas().map((each) => reportOf(each.admin)));
    const told = ({ lives = [] }: (typeof all)[number]) =>
      lives.filter(({ state }) => state === 'serving').map(({ version }) => version);
    return all.flatMap(told).join(' ');
  };
  const retries = async (): Promise<number> =>
    sumOfSamples((await admin(caller().admin, '/metrics')).body, 'outrider_retries_total');
  const tell = (what: string, summary: string) => process.stdout.write(`      ${what}: ${summary}\n`);

  for (const instances of [1, 2])
    it(`of a good version with ${instances} processes for each: no call fails, and a stream under way ends whole`, async () => {
      await begin('samples: 30, window: 3s', `instances: ${instances}`);
      load = await RollingLoad.start({ target: facts.call['mine']!, perSecond: 2 * PER_SECOND });
      await load.goesOn();
      const fromMs = performance.now();
      for (const [from, to] of [
        ['1', '2'],
        ['2', '3'],
      ] as const) {
        cpSync(join(model, from), join(model, to), { recursive: true });
        const { code, stdout, stderr } = await start(to, '--canary', '20%');
        assert.equal(code, 0, stdout + stderr);
        await until(`only version ${to} serves`, async () => (await serving()) === `${to} ${to}`, 40_000);
      }
      await load.goesOn();
      const meanwhile = load.of('stream').within(fromMs, Number.POSITIVE_INFINITY).length;
      assert.ok(meanwhile >= 5, `${meanwhile} streams`);
      assert.deepEqual(load.versions, ['1', '2', '3']);
      tell(`${instances} processes, two rollouts`, await load.noneFailed());
    });

  for (const [oddity, what] of [
    ['fails-later', 'every call fails'],
    ['fails-some', 'a quarter of its calls fails'],
  ] as const)
    it(`of a version of which ${what} once calls go to it is taken back by itself, and they are answered elsewhere`, async () => {
      await begin('samples: 30, window: 20s');
      putOddVersion(model, '1', '2', oddity);
      load = await RollingLoad.start({ target: facts.call['mine']!, perSecond: PER_SECOND, request: blank });
      await load.goesOn();
      const { code, stdout, stderr } = await start('2');
      assert.equal(code, 1, stdout + stderr);
      assert.match(stdout, /watching/);
      assert.match(stdout, /rolled-back · 0 of 2 replicas · mine-1: .* calls failed \(\d+\)/);
      await load.goesOn();
      assert.equal(await serving(), '1 1');
      tell(`${await retries()} retries; ${stdout.trim().split('\n').at(-1)}`, load.summary);
      await load.noneFailed();
    });

  it('of a version whose process ends once calls go to it is taken back by itself, and they are answered elsewhere', async () => {
    await begin('samples: 30, window: 20s');
    putOddVersion(model, '1', '2', 'ends-later');
    load = await RollingLoad.start({ target: facts.call['mine']!, perSecond: PER_SECOND, request: blank });
    await load.goesOn();
    const { code, stdout, stderr } = await start('2');
    assert.equal(code, 1, stdout + stderr);
    assert.match(stdout, /watching/);
    assert.match(stdout, /rolled-back · 0 of 2 replicas · mine-1: /);
    await load.goesOn();
    assert.equal(await serving(), '1 1');
    await load.stop();
    // What its process had at the moment of its end may not be asked of another one: it might end that as well.
    const lost = load.failures.filter((line) => /UNAVAILABLE model-crashed/.test(line));
    assert.ok(lost.length <= 2 * CONCURRENCY, `${lost.length} calls were at the process that ended`);
    assert.deepEqual(
      load.failures.filter((line) => !lost.includes(line)),
      [],
      load.summary,
    );
    tell(`${await retries()} retries; ${stdout.trim().split('\n').at(-1)}`, load.summary);
  });
});

const BLANK: ModelInferRequest = {
  model_name: 'digits',
  inputs: [{ name: 'pixels', datatype: 'FP32', shape: ['1', '784'] }],
  raw_input_contents: [new Uint8Array(784 * 4)],
};
const blank = (): ModelInferRequest => BLANK;
