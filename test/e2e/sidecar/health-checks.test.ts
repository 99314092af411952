/**
 * Active health checks between real sidecars: a peer sidecar that is stopped is found without any traffic, one that
 * goes on is back within an interval, and the peer's sidecar answers for its model.
 */
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { writeAddress } from '../../../sidecar/config/codecs/address.js';
import type { EndpointReport } from '../../../sidecar/telemetry/reports.js';
import { until } from '../../kit/process/processes.js';
import { SidecarBench, type SidecarProcess } from '../../kit/process/sidecars.js';
import { startTestService, type TestService } from '../../kit/service/test-service.js';

const INTERVAL_MS = 1000;
const TIMEOUT_MS = 300;
/** What other work on the machine may add: a question or two that are asked again. */
const BUSY_MS = 3_000;

describe('Health checks between sidecars', function () {
  this.timeout(60_000);

  let bench: SidecarBench;
  let model: TestService;
  let peers: SidecarProcess[];
  let caller: SidecarProcess;
  /** A caller that asks by PINGs alone, which the sidecars answer for themselves. */
  let pinging: SidecarProcess;

  before(async () => {
    model = await startTestService();
    bench = await SidecarBench.open();
    const identity = await bench.identity('testing');
    const start = (name: string): Promise<SidecarProcess> =>
      bench.start(name, {
        service: 'testing',
        identity,
        inbound: {
          listen: '127.0.0.1:0',
          local: writeAddress(model.address),
          intentions: [{ from: 'app', to: 'testing', action: 'allow' }],
        },
      });
    peers = [await start('one'), await start('two')];
    const app = await bench.identity('app');
    const startCaller = (name: string, kind: 'grpc' | 'ping'): Promise<SidecarProcess> =>
      bench.start(name, {
        service: 'app',
        identity: app,
        outbound: {
          upstreams: {
            testing: {
              listen: '127.0.0.1:0',
              endpoints: peers.map((peer) => writeAddress(peer.address('inbound'))),
              health: { kind, interval: `${INTERVAL_MS}ms`, timeout: `${TIMEOUT_MS}ms` },
            },
          },
        },
      });
    caller = await startCaller('caller', 'grpc');
    pinging = await startCaller('pinging', 'ping');
    for (const each of [...peers, caller, pinging]) await each.ready();
  });

  after(async () => {
    if (peers !== undefined) process.kill(peers[0]!.pid, 'SIGCONT');
    await bench?.close();
    model?.close();
  });

  const reportOf = async (i: number, of = caller): Promise<EndpointReport> => {
    const at = writeAddress(peers[i]!.address('inbound'));
    const { endpoints } = await of.report();
    const found = endpoints.find(({ address }) => address === at);
    assert.ok(found, JSON.stringify(endpoints));
    return found;
  };
  const state = async (i: number, of = caller): Promise<string> => (await reportOf(i, of)).state;

  it('pass without traffic, answered by the peers', async () => {
    const passed = () => caller.metric('outrider_health_checks_total', { result: 'passed' });
    await until('both have been asked twice', async () => (await passed()) >= 4);
    assert.deepEqual([await state(0), await state(1)], ['eligible', 'eligible']);
    assert.equal(await caller.metric('outrider_endpoint_healthy'), 2);
    assert.equal(await peers[0]!.metric('outrider_model_up'), 1);
  });

  it('find a frozen sidecar without traffic, and take it back soon after it goes on, by calls and by PINGs', async () => {
    process.kill(peers[0]!.pid, 'SIGSTOP');
    const frozenMs = performance.now();
    const found = async (by: SidecarProcess, question: string): Promise<void> => {
      const { state: now, why } = await until('it is unhealthy', async () => {
        const report = await reportOf(0, by);
        return report.state !== 'eligible' && report;
      });
      const tookMs = performance.now() - frozenMs;
      assert.equal(now, 'unhealthy', why);
      assert.match(why, new RegExp(`no answer to ${question} in 300 ms`));
      // One interval until it is asked, two questions, the second a second later at the latest.
      assert.ok(tookMs < 1.1 * INTERVAL_MS + 1000 + TIMEOUT_MS + BUSY_MS, `${tookMs}`);
      // On a busy machine it may have been late with an answer, too.
      await until('the other one is eligible', async () => (await state(1, by)) === 'eligible');
    };
    await Promise.all([found(caller, 'a health check'), found(pinging, 'a PING')]);
    await delay(1500);
    process.kill(peers[0]!.pid, 'SIGCONT');
    const thawedMs = performance.now();
    const isBack = async (by: SidecarProcess): Promise<void> => {
      await until('it is back', async () => (await state(0, by)) === 'eligible');
      assert.ok(performance.now() - thawedMs < INTERVAL_MS + BUSY_MS, `${performance.now() - thawedMs}`);
    };
    await Promise.all([isBack(caller), isBack(pinging)]);
  });
});
