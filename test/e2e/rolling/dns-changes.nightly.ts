/**
 * A DNS name whose addresses change all the time, below calls at twice the load of the other rolling tests, calls of 600 KB and
 * streams, while each address in turn really goes away, as a pod does. In `.ci/nightly`, because it needs the machine.
 */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { writeAddress } from '../../../sidecar/config/codecs/address.js';
import { RollingLoad } from '../../drills/rolling/rolling-load.js';
import { Caller } from '../../kit/interop/client.js';
import { startLoad } from '../../kit/interop/load.js';
import { DnsServer } from '../../kit/process/dns-server.js';
import { DIGITS_MODELS, outputOf, Scratch, startOutrider } from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';
import { SidecarBench, type SidecarProcess } from '../../kit/process/sidecars.js';
import { startTestService } from '../../kit/service/test-service.js';

const PER_SECOND = Number(process.env['OUTRIDER_DNS_CALLS'] ?? 400);
const HOSTS = ['127.0.0.2', '127.0.0.3', '127.0.0.4'] as const;
/** What DNS does wrong, once for each of them. */
const MISHAPS = ['SERVFAIL', 'NXDOMAIN', 'silence'] as const;

describe('a DNS name under load of every kind', function () {
  this.timeout(240_000);
  let scratch: Scratch;
  let bench: SidecarBench;
  let dns: DnsServer;
  let model: ChildProcess;
  let identity: object;
  let port = 0;
  let caller: SidecarProcess;
  let load: RollingLoad | undefined;
  const peers = new Map<string, SidecarProcess>();

  const startPeer = async (host: string): Promise<void> => {
    const peer = await bench.start(`at-${host}`, {
      ...{ service: 'digits', identity, drain_timeout: '20s' },
      inbound: {
        listen: `${host}:${port}`,
        local: `unix:${join(scratch.path, 'model.sock')}`,
        // What waits while the machine does something else is not what is tested.
        queue: { concurrency: 64, max_waiting: 4096 },
        intentions: [{ from: 'app', to: 'digits', action: 'allow' }],
      },
    });
    await peer.ready();
    peers.set(host, peer);
    ({ port } = peer.address('inbound') as { readonly port: number });
  };

  before(async () => {
    scratch = new Scratch();
    dns = await DnsServer.start();
    dns.ttl = 0;
    model = startOutrider([
      ...['serve', '--models', DIGITS_MODELS],
      ...['--listen', `unix:${join(scratch.path, 'model.sock')}`],
    ]);
    outputOf(model);
    bench = await SidecarBench.open();
    identity = await bench.identity('digits');
    for (const host of HOSTS) await startPeer(host);
    dns.says = HOSTS;
    const routes = [
      {
        methods: ['/inference.GRPCInferenceService/ModelInfer'],
        ...{ idempotent: true, retry: { attempts: 3, on: ['unavailable'] } },
      },
    ];
    const byName = { name: 'digits.', port, refresh: '1s', servers: [dns.address] };
    caller = await bench.start('caller', {
      ...{ service: 'app', identity: await bench.identity('app') },
      outbound: { upstreams: { digits: { listen: '127.0.0.1:0', dns: byName, routes } } },
    });
    await caller.ready();
  });

  after(async () => {
    await load?.stop();
    await bench?.close();
    dns?.close();
    if (model?.exitCode === null) {
      model.kill('SIGTERM');
      await once(model, 'exit');
    }
    scratch?.remove();
  });

  const listed = async (): Promise<string> =>
    (await caller.report()).endpoints
      .map(({ address }) => address.split(':')[0])
      .sort()
      .join();
  /** DNS says so, and the caller has seen it. */
  const become = async (...hosts: readonly string[]): Promise<void> => {
    dns.says = hosts;
    await until(`the endpoints are ${hosts}`, async () => (await listed()) === [...hosts].sort().join());
  };

  it('loses no call while addresses come and go, DNS fails, and each sidecar is stopped and started anew', async () => {
    const { port: at } = caller.address('upstream digits') as { readonly port: number };
    load = await RollingLoad.start({ target: `127.0.0.1:${at}`, perSecond: PER_SECOND });
    await load.goesOn();
    for (const [i, host] of HOSTS.entries()) {
      const others = HOSTS.filter((each) => each !== host);
      await become(...others);
      await become(...HOSTS);
      // As a pod that is deleted: it drains while DNS, seen up to a second later, takes its address away.
      dns.says = others;
      assert.equal(await peers.get(host)!.stop(40_000), 0);
      await until('it is gone', async () => (await listed()) === others.join());
      await startPeer(host);
      await become(...HOSTS);
      const mishap = MISHAPS[i]!;
      dns.says = mishap;
      await load.goesOn();
      // Of a name that is suddenly gone those stay that answer calls; on a busy machine one may be ejected just then.
      const report = `${mishap}: ${await listed()}, ${JSON.stringify((await caller.report()).dns)}`;
      assert.ok(mishap === 'NXDOMAIN' ? (await listed()) !== '' : (await listed()) === HOSTS.join(), report);
      await become(...HOSTS);
    }
    await load.goesOn();
    process.stdout.write(`      ${await load.noneFailed()}\n`);
  });
});

describe('a DNS name with 2,000 addresses', function () {
  this.timeout(120_000);
  // All of them lead to one sidecar: on loopback each address of 127.0.0.0/8 is this machine.
  const ALL = Array.from({ length: 2_000 }, (_, i) => `127.1.${1 + (i >> 7)}.${1 + (i & 127)}`);

  it('loses no call while half of them are others each second', async () => {
    const [dns, model, bench] = await Promise.all([
      DnsServer.start(),
      startTestService(),
      SidecarBench.open(),
    ]);
    dns.ttl = 0;
    dns.says = ALL;
    try {
      const peer = await bench.start('peer', {
        ...{ service: 'testing', identity: await bench.identity('testing') },
        inbound: {
          ...{ listen: '0.0.0.0:0', local: writeAddress(model.address) },
          intentions: [{ from: 'app', to: 'testing', action: 'allow' }],
        },
      });
      const { port } = peer.address('inbound') as { readonly port: number };
      const byName = { name: 'testing.', port, refresh: '1s', servers: [dns.address] };
      // Each second a thousand handshakes with one sidecar: how fast this machine makes them is not what is tested.
      const pool = { connect_timeout: '10s' };
      const caller = await bench.start('caller', {
        ...{ service: 'app', identity: await bench.identity('app') },
        outbound: { upstreams: { testing: { listen: '127.0.0.1:0', dns: byName, pool } } },
      });
      await caller.ready();
      const app = new Caller(caller.address('upstream testing'));
      const load = startLoad(app, 16, 5);
      const seen = new Set<number>();
      for (let second = 0; second < 12; second++) {
        dns.says = second % 2 === 0 ? ALL.filter((_, i) => i % 2 === (second % 4) / 2) : ALL;
        await delay(1_200);
        seen.add((await caller.report()).dns![0]!.addresses);
      }
      const { good, failures } = await load.stop();
      app.close();
      assert.deepEqual(failures.slice(0, 10), []);
      assert.deepEqual([...seen].sort(), [1_000, 2_000]);
      process.stdout.write(`      ${good} calls: ${failures.length} failed\n`);
    } finally {
      await bench.close();
      model.close();
      dns.close();
    }
  });
});
