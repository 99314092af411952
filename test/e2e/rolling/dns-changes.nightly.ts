/**
 * A DNS name whose addresses change all the time, below calls at twice the load of the other rolling tests, calls of 600 KB and
 * streams, while each address in turn really goes away, as a pod does. In `.ci/nightly`, because it needs the machine.
 */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { MixedLoad } from '../../drills/rolling/mixed-load.js';
import { DnsServer } from '../../kit/process/dns-server.js';
import { DIGITS_MODELS, outputOf, Scratch, startOutrider } from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';
import { SidecarBench, type SidecarProcess } from '../../kit/process/sidecars.js';

const PER_SECOND = Number(process.env['OUTRIDER_DNS_CALLS'] ?? 400);
const HOSTS = ['127.0.0.2', '127.0.0.3', '127.0.0.4'] as const;

describe('a DNS name under load of every kind', function () {
  this.timeout(240_000);
  let scratch: Scratch;
  let bench: SidecarBench;
  let dns: DnsServer;
  let model: ChildProcess;
  let identity: object;
  let port = 0;
  let caller: SidecarProcess;
  let load: MixedLoad | undefined;
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
    load = await MixedLoad.start({ target: `127.0.0.1:${at}`, perSecond: PER_SECOND });
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
      dns.says = (['SERVFAIL', 'NXDOMAIN', 'silence'] as const)[i]!;
      await load.goesOn();
      assert.equal(await listed(), HOSTS.join());
      await become(...HOSTS);
    }
    await load.goesOn();
    process.stdout.write(`      ${await load.noneFailed()}\n`);
  });
});
