/**
 * For .ci/nightly: a mesh in which everything that watches or acts is on, and calls as models make them at the same time:
 * short ones, calls of 600 KB, runs from a millisecond to a second, streams of tokens, two models in one process, a client in
 * Go; limits, intentions, routes, a mirror and a fallback by model; then twice as many. Nothing is wrong, so that nothing may
 * act: no call fails, no endpoint is ejected or suspected, no process is killed.
 * `npx mocha dist/test/e2e/mixed-calls.nightly.js`
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { readAddress } from '../../sidecar/config/codecs/address.js';
import { counting } from '../drills/decisions/up-drill.js';
import { characterStreams } from '../drills/faults/characters.js';
import { digitRequest, manyDigitsRequest } from '../drills/faults/digit-load.js';
import { MixedLoad } from '../drills/faults/mixed-load.js';
import { WATCHED_UPSTREAM } from '../drills/faults/watched-upstream.js';
import { putPackageModels } from '../drills/soak/mesh-file.js';
import { callByGhz, SERVER_READY } from '../kit/interop/go.js';
import { sumOfSamples } from '../kit/process/metrics-page.js';
import { admin, Mesh, outrider, reportOf, Scratch, type UpFacts } from '../kit/process/outrider.js';
import { toolOrSkip } from '../kit/process/tools.js';
import { putLoopModel } from '../kit/service/tiny-models.js';
import { Collector } from '../kit/traces/collector.js';

const PART_MS = 25_000;
/** The client in Go calls as fast as it can, and rests between. */
const GO_PAUSE_MS = 1_000;
const KINDS = ['digits', '600 KB', 'loop', 'streams'] as const;
/** Turns of the loop model: from 1 ms or so to a second. */
const TURNS = [800, 8_000, 80_000, 400_000];

const mixedFile = (models: string, collector: string, files: string): string => `
services:
  mixed:
    models: ${models}
    isolation: shared
    replicas: 2
    queue:
      adaptive: { min: 2, max: 64 }
      models:
        - { model: loop, concurrency: 4, max_waiting: 64 }
        - { model: digits, version: "1", max_waiting: 512 }
    rate_limits:
      - { models: [digits], per_second: 5000 }
      - { models: [loop, tokens], per_second: 500 }
      - { per_second: 50000 }
    load_report: { trailers: true }
  shadow: { models: ${models} }
caller:
  name: app
  admin: 127.0.0.1:0
  upstreams:
    mixed:
      listen: 127.0.0.1:0
${WATCHED_UPSTREAM}
      routes:
        - methods: [/inference.GRPCInferenceService/ModelInfer]
          models: [digits]
          idempotent: true
          timeout: 60s
          retry: { on: [unavailable] }
          hedge: { percentile: 0.95 }
          split: { match: [{ model: digits, upstream: mixed }] }
          mirror: { upstream: shadow, ratio: 0.2 }
          fallback: [{ kind: upstream, upstream: shadow }]
        - methods: [/inference.GRPCInferenceService/ModelInfer]
          idempotent: true
          timeout: 60s
          retry: { on: [unavailable] }
          hedge: { percentile: 0.95 }
    shadow: { listen: 127.0.0.1:0 }
intentions:
  - { from: app, to: mixed, action: allow, models: [digits, loop, tokens] }
  - { from: app, to: shadow, action: allow }
observe: 127.0.0.1:0
traces: { endpoint: "${collector}", sample: 1 }
access_log: { path: ${join(files, 'access.jsonl')} }
audit: { directory: ${files} }
`;

describe('calls of all kinds at once, with everything on', function () {
  this.timeout(300_000);

  let scratch: Scratch;
  let collector: Collector;
  let mesh: Mesh;
  let facts: UpFacts;
  let target: string;

  before(async function () {
    collector = await Collector.start(await toolOrSkip(this, 'otlp'));
    scratch = new Scratch();
    const models = join(scratch.path, 'models');
    putPackageModels(models);
    putLoopModel(models);
    mesh = Mesh.start(mixedFile(models, `http://127.0.0.1:${collector.ports.http}`, scratch.path));
    facts = await mesh.ready();
    target = facts.call['mixed']!;
  });
  after(async () => {
    await mesh?.discard();
    await collector?.kill();
    scratch?.remove();
  });

  const pages = async (): Promise<string> => {
    const all = await Promise.all(facts.sidecars.map((each) => admin(each.admin, '/metrics')));
    return all.map(({ body }) => body).join('\n');
  };

  const loadOf = (times: number) => {
    const of = (perSecond: number) => ({ target, deadlineMs: 60_000, perSecond: perSecond * times });
    return new MixedLoad({
      digits: { ...of(60), request: digitRequest },
      '600 KB': { ...of(3), request: manyDigitsRequest },
      loop: { ...of(0.6), request: (n) => counting(TURNS[n % TURNS.length]!) },
      streams: { ...of(0.4), ...characterStreams(60_000) },
    }).begin();
  };

  /** Loads for a while, with a client in Go beside them. */
  const run = async (times: number, ghz: string): Promise<void> => {
    const load = await loadOf(times);
    const address = readAddress(target);
    assert.ok(address.ok);
    const endMs = performance.now() + PART_MS;
    while (performance.now() < endMs) {
      const byGo = { method: SERVER_READY, calls: 100 * times, width: 4, floats: 0 };
      const { byCode } = await callByGhz(ghz, address.value, byGo, scratch.path, 60_000);
      assert.deepEqual(byCode, { OK: byGo.calls });
      await delay(GO_PAUSE_MS);
    }
    await load.noneFailed();
    for (const kind of KINDS) assert.ok(load.of(kind).sent > PART_MS / 5_000, load.counts);
  };

  for (const [times, title] of [
    [1, 'at a steady rate'],
    [2, 'twice as many'],
  ] as const)
    it(`fail in no call, ${title}`, async function () {
      await run(times, await toolOrSkip(this, 'ghz'));
    });

  it('have had no endpoint ejected or suspected, and no process killed', async () => {
    const page = await pages();
    const sums = [
      'outrider_ejections_total',
      'outrider_suspicions_total',
      'outrider_model_restarts_total',
    ].map((name) => [name, sumOfSamples(page, name)] as const);
    assert.deepEqual(
      sums.filter(([, sum]) => sum !== 0),
      [],
    );
    for (const { admin: address } of facts.sidecars)
      for (const { endpoint, state, why } of (await reportOf(address)).endpoints)
        assert.equal(state, 'eligible', `${endpoint}: ${why}`);
  });

  it('are all in the trace of a collector or counted as not sent', async () => {
    const page = await pages();
    const [traced, exported, waiting, dropped] = [
      'outrider_traced_calls_total',
      'outrider_spans_exported_total',
      'outrider_spans_waiting',
      'outrider_spans_dropped_total',
    ].map((name) => sumOfSamples(page, name)) as [number, number, number, number];
    assert.ok(
      traced > 1_000 && exported + waiting >= traced,
      `${traced} calls, ${exported} spans, ${waiting} waiting`,
    );
    assert.equal(dropped, 0);
    const { code, stdout } = await outrider([
      'audit',
      'verify',
      join(scratch.path, `${facts.sidecars[0]!.name}.jsonl`),
    ]);
    assert.equal(code, 0, stdout);
  });
});
