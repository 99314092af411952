/**
 * Clients of engines on real sockets whose engines are killed in the middle of answers: large answers, clients that stop reading, that compress,
 * that are of another make, more answers than engines have room for, and a sidecar that takes over a changed file meanwhile.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import type { GenerateRequest } from '../../proto/vllm-service.js';
import { killQuickly } from '../drills/engines/quick-kills.js';
import { EngineBench } from '../kit/engines/engine-bench.js';
import { EngineStream } from '../kit/engines/engine-client.js';
import { aGenerateRequest, tokensFor } from '../kit/engines/scripted-engine.js';
import { runs } from '../kit/mocha/effort.js';
import { until } from '../kit/process/processes.js';
import { ROOT, toolOrSkip } from '../kit/process/tools.js';
import { TestClient } from '../kit/service/model-server.js';

const run = promisify(execFile);
const SLOTS = 8;
const GZIP = 2;

describe('engines that are killed, and their clients', function () {
  this.timeout(120_000);
  let bench: EngineBench;
  let asked = 0;

  before(async () => {
    bench = await EngineBench.start({ engines: 3, slots: SLOTS });
  });
  after(() => bench?.close());

  const requestOf = (maxTokens: number, over: Partial<GenerateRequest['sampling_params'] & object> = {}) =>
    aGenerateRequest({
      request_id: `stream-${++asked}`,
      tokenized: { input_ids: [asked, 7, 300] },
      sampling_params: { temperature: 0, max_tokens: maxTokens, ignore_eos: true, ...over },
    });
  const open = (request: GenerateRequest, client = bench.client): EngineStream =>
    new EngineStream(client, request);
  /** The engines that make answers, after a few more bytes of them. */
  const killAll = async (): Promise<void> => {
    for (const engine of bench.engines) {
      if (engine.running === 0) continue;
      const { kills } = engine;
      engine.killAfter(500, 'closed');
      await until('it is killed', () => engine.kills > kills);
    }
  };

  it('an answer of 600 KB is whole, killed three times', async () => {
    let bytes = 0;
    const stream = open(requestOf(8_000, { logprobs: 1 }));
    stream.stream.on('data', (message) => {
      bytes += JSON.stringify(message).length;
    });
    for (const count of [2_000, 4_000, 6_000]) {
      await until(`${count} tokens`, () => stream.ids.length > count);
      await killAll();
    }
    assert.equal(await stream.fault(), '');
    assert.ok(bytes > 600_000, `${bytes} characters`);
    assert.ok((await bench.resumed()) >= 3);
  });

  it('a client that does not read for a while has every token once', async () => {
    const before = await bench.resumed();
    const stream = open(requestOf(6_000, { logprobs: 1 }));
    await until('it has begun', () => stream.ids.length > 50);
    stream.stream.pause();
    await until('its engine is at work', () => bench.engines.some(({ running }) => running > 0));
    // Windows of the client and of the sidecar fill up, and the engine is killed with answers on their way.
    await killAll();
    stream.stream.resume();
    assert.equal(await stream.fault(), '');
    assert.ok((await bench.resumed()) > before);
  });

  it('a client that compresses is served, and is told why its answer is not resumed', async () => {
    const client = new TestClient(bench.target, { 'grpc.default_compression_algorithm': GZIP });
    try {
      assert.equal(await open(requestOf(100), client).fault(), '');
      const cut = open(requestOf(20_000), client);
      await until('it has begun', () => cut.ids.length > 50);
      await killAll();
      assert.match(await cut.fault(), /^14 .*cannot be read/);
      const expected = tokensFor(cut.request).map(({ id }) => id);
      assert.deepEqual(cut.ids, expected.slice(0, cut.ids.length), 'what it has is right');
    } finally {
      client.client.close();
    }
  });

  it('a client in Go has every token once', async function () {
    const grpcurl = await toolOrSkip(this, 'grpcurl');
    const before = await bench.resumed();
    const request = requestOf(4_000);
    const ended = run(
      grpcurl,
      [
        ...['-plaintext', '-import-path', path.join(ROOT, 'proto'), '-proto', 'vllm-engine.proto'],
        ...['-d', JSON.stringify(request), bench.target, 'vllm.grpc.engine.VllmEngine/Generate'],
      ],
      { maxBuffer: 64 << 20 },
    );
    await until('it has begun', () => bench.engines.some(({ running }) => running > 0));
    await killAll();
    const { stdout } = await ended;
    const messages = JSON.parse(`[${stdout.trim().replaceAll(/^}\n{/gm, '},\n{')}]`) as readonly {
      readonly chunk?: { readonly tokenIds?: readonly number[]; readonly token_ids?: readonly number[] };
    }[];
    const ids = messages.flatMap(({ chunk }) => [...(chunk?.tokenIds ?? chunk?.token_ids ?? [])]);
    assert.deepEqual(
      ids,
      tokensFor(request).map(({ id }) => id),
    );
    assert.ok((await bench.resumed()) > before);
  });

  it('twice as many answers as there is room for are whole', async () => {
    const before = await bench.resumed();
    const streams = Array.from({ length: 2 * SLOTS * bench.engines.length }, () => open(requestOf(400)));
    await until('some are under way', () => streams.filter(({ ids }) => ids.length > 20).length >= SLOTS);
    await killAll();
    const faults = await Promise.all(streams.map((stream) => stream.fault()));
    assert.deepEqual(
      faults.filter((fault) => fault !== ''),
      [],
    );
    assert.ok((await bench.resumed()) - before >= SLOTS);
  });

  it('a sidecar that takes over a changed file meanwhile goes on with them', async () => {
    const before = await bench.resumed();
    const streams = Array.from({ length: SLOTS }, () => open(requestOf(4_000)));
    await until('all are under way', () => streams.every(({ ids }) => ids.length > 20));
    await bench.reload({ balance: { kind: 'round-robin' } });
    await killAll();
    const faults = await Promise.all(streams.map((stream) => stream.fault()));
    assert.deepEqual(
      faults.filter((fault) => fault !== ''),
      [],
    );
    assert.ok((await bench.resumed()) > before);
  });
});

describe('engines that are killed again and again', function () {
  this.timeout(600_000);

  it('at any byte of their answers: none is wrong', async () => {
    const { kills, answers, resumed, approximate, wrong, lost, problems } = await killQuickly(runs(40), 11);
    assert.equal(wrong, 0, JSON.stringify([...problems]));
    // Each engine that it goes to may die before it has brought anything.
    assert.ok(lost <= answers / 50, JSON.stringify([...problems]));
    assert.ok(resumed > kills / 2, `${resumed} resumptions of ${kills} kills`);
    assert.ok(approximate > 0, 'none of the answers that are drawn by chance went on');
  });
});
