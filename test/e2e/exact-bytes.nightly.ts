/**
 * For .ci/nightly: grpc-go before and behind a mesh that copies, retries, hedges and limits, under twice the calls that its models take at
 * once, while its files are changed. Every answer that ends well has the bytes that were sent: unary calls and streams of random
 * sizes, half of them compressed.
 * `npx mocha dist/test/e2e/exact-bytes.nightly.js`
 */
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { writeAddress } from '../../sidecar/config/codecs/address.js';
import { exactByGo, startGoServer } from '../kit/interop/go.js';
import { sumOfSamples } from '../kit/process/metrics-page.js';
import { until } from '../kit/process/processes.js';
import { SidecarBench, type SidecarProcess } from '../kit/process/sidecars.js';
import { toolOrSkip } from '../kit/process/tools.js';

const REPLICAS = 2;
/** Calls that the model of a replica takes at once. */
const CONCURRENCY = 4;
const SECONDS = 40;
const RELOAD_MS = 1_500;
/** Of so many calls at a server one fails. */
const EVERY = 40;
const PREFIX = '/inference.GRPCInferenceService/';

type GoServer = Awaited<ReturnType<typeof startGoServer>>;

describe('answers through a mesh that does everything at once', function () {
  this.timeout(300_000);

  let binary: string;
  let bench: SidecarBench;
  let caller: SidecarProcess;
  const servers: GoServer[] = [];
  const services: SidecarProcess[] = [];

  /** `turn`: of the reload; what it says differs each time. */
  const serviceFile = async (name: string, server: GoServer, turn: number) => ({
    service: name,
    identity: await bench.identity(name),
    inbound: {
      listen: '127.0.0.1:0',
      local: writeAddress(server.address),
      default_intention: 'allow',
      queue: { concurrency: CONCURRENCY, max_waiting: 400 + turn },
      routes: [{ methods: [`${PREFIX}ModelStreamInfer`], kind: 'streaming', timeout: '60s' }],
    },
  });
  const callerFile = async (turn: number) => ({
    service: 'app',
    identity: await bench.identity('app'),
    outbound: {
      upstreams: {
        echo: {
          listen: '127.0.0.1:0',
          endpoints: services.slice(0, REPLICAS).map((each) => writeAddress(each.address('inbound'))),
          balance: { kind: ['round-robin', 'least-loaded'][turn % 2] },
          routes: [
            {
              methods: [`${PREFIX}ModelInfer`],
              idempotent: true,
              timeout: '60s',
              attempt_timeout: `${20 + (turn % 3)}s`,
              retry: { on: ['unavailable'], attempts: 4 },
              hedge: { percentile: 0.9 },
              mirror: { upstream: 'shadow', ratio: turn % 2 === 0 ? 1 : 0.5 },
            },
            { methods: [`${PREFIX}ModelStreamInfer`], kind: 'streaming', idempotent: true, timeout: '60s' },
          ],
        },
        shadow: {
          listen: '127.0.0.1:0',
          endpoints: [writeAddress(services[REPLICAS]!.address('inbound'))],
          routes: [{ methods: [`${PREFIX}ModelInfer`], replay: '1KiB' }],
        },
      },
    },
  });

  before(async function () {
    binary = await toolOrSkip(this, 'go-client');
    bench = await SidecarBench.open();
    for (const name of ['echo', 'echo', 'shadow']) {
      const server = await startGoServer(binary, EVERY);
      servers.push(server);
      const file = await serviceFile(name, server, 0);
      services.push(await bench.start(`${name}-${services.length}`, file));
    }
    caller = await bench.start('app', await callerFile(0));
    await caller.ready();
  });
  after(async () => {
    await bench?.close();
    for (const server of servers) await server.close();
  });

  it('has the bytes of its own request in every one, and ends well but for what the server refused too often', async () => {
    const isOver = new AbortController();
    const calls = exactByGo(binary, caller.address('upstream echo'), {
      seconds: SECONDS,
      width: 2 * REPLICAS * CONCURRENCY,
      seed: Date.now() % 1_000_000,
    }).finally(() => isOver.abort());
    let turn = 0;
    while (!isOver.signal.aborted) {
      turn += 1;
      await bench.write('app', await callerFile(turn));
      if (turn % 3 === 0) await bench.write('echo-0', await serviceFile('echo', servers[0]!, turn));
      await delay(RELOAD_MS, undefined, { signal: isOver.signal }).catch(() => {});
    }
    const { wrong, streams, byCode, samples, calls: made } = await calls;
    assert.equal(wrong, 0, samples.join('\n'));
    const { OK: ok = 0, Unavailable: refused = 0, ...others } = byCode;
    assert.deepEqual(others, {}, samples.join('\n'));
    assert.ok(ok > 200 && streams > 50, JSON.stringify(byCode));
    assert.ok(refused < made / 100, `${refused} of ${made}: ${samples.join('\n')}`);
    const { text } = await caller.page('/metrics');
    for (const name of ['outrider_retries_total', 'outrider_hedges_total', 'outrider_mirror_sent_total'])
      assert.ok(sumOfSamples(text, name) > 0, name);
    assert.ok(turn > 10, `${turn} reloads`);
    const budgets = ['outrider_buffered_bytes', 'outrider_calls_in_flight'];
    await until('nothing is held', async () => {
      const page = (await caller.page('/metrics')).text;
      return budgets.every((name) => sumOfSamples(page, name) === 0);
    });
  });
});
