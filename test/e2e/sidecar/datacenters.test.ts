import assert from 'node:assert/strict';
import { writeAddress } from '../../../sidecar/config/codecs/address.js';
import { Load } from '../../drills/faults/load.js';
import { Model } from '../../drills/faults/model.js';
import { ConsulServer, consulOrSkip } from '../../kit/consul/consul.js';
import { closingAfterSuite } from '../../kit/mocha/after-suite.js';
import { until } from '../../kit/process/processes.js';
import { SidecarBench, type SidecarProcess } from '../../kit/process/sidecars.js';

/** Room for all that a busy machine delays. */
const QUEUE = { concurrency: 32, max_waiting: 4_096 };
/** Far more than anything here takes: two agents, five sidecars and their certificates share the cores with other tests. */
const LIMIT_MS = 60_000;

interface Seen {
  readonly here: number;
  readonly there: number;
}

/** How many of the calls of `during` failed, and how. */
function failuresOf(calls: readonly { readonly failure: string | undefined }[]): string {
  const failed = calls.filter(({ failure }) => failure !== undefined);
  return failed.length === 0 ? '' : `${failed.length} of ${calls.length}: ${failed[0]!.failure}`;
}

describe('Two datacenters, joined over the WAN', function () {
  this.timeout(240_000);
  const open = closingAfterSuite();
  let bench: SidecarBench;
  let caller: SidecarProcess;
  let home: readonly SidecarProcess[];
  /** Of the caller, one for each way to say where calls go when this datacenter has nothing. */
  let byFile: Load;
  let byResolver: Load;
  let startHome: () => Promise<readonly SidecarProcess[]>;

  /** Calls that the models of each datacenter have had in the last second. */
  let calls: () => Seen;

  before(async function () {
    await consulOrSkip(this);
    const one = await open(ConsulServer.start({ node: 'one' }), (it) => it.stop());
    const there = { node: 'two', datacenter: 'dc2', primary: 'dc1', joinWan: [one.joinWan] };
    const two = await open(ConsulServer.start(there), (it) => it.stop());
    const known = () => one.api<string[]>('GET', '/catalog/datacenters').catch(() => []);
    await until('they know each other', async () => (await known()).length === 2, LIMIT_MS);
    const resolver = {
      Kind: 'service-resolver',
      Name: 'vision',
      Failover: { '*': { Datacenters: ['dc2'] } },
    };
    await one.api('PUT', '/config', resolver);

    bench = await open(SidecarBench.open(), (it) => it.close());
    const model = () => open(Model.start({ serviceMs: 2 }), (it) => it.kill());
    const here = await model();
    const away = await model();
    const replica = (name: string, service: string, agent: ConsulServer, at: Model) =>
      bench.start(name, {
        service,
        instance: name,
        consul: { address: agent.url },
        inbound: { listen: '127.0.0.1:0', local: at.address, queue: QUEUE },
      });
    startHome = () =>
      Promise.all([replica('digits-1', 'digits', one, here), replica('vision-1', 'vision', one, here)]);
    home = await startHome();
    await Promise.all([replica('digits-2', 'digits', two, away), replica('vision-2', 'vision', two, away)]);
    const failover = [{ service: 'digits', datacenter: 'dc2' }];
    caller = await bench.start('web', {
      service: 'web',
      consul: { address: one.url },
      outbound: {
        upstreams: {
          digits: { listen: '127.0.0.1:0', consul: { service: 'digits', failover } },
          vision: { listen: '127.0.0.1:0', consul: { service: 'vision' } },
        },
      },
    });
    await caller.ready(LIMIT_MS);
    const load = (upstream: string) => {
      const target = writeAddress(caller.address(`upstream ${upstream}`));
      return open(Load.start({ target, perSecond: 25, deadlineMs: 10_000 }, LIMIT_MS), (it) => it.stop());
    };
    byFile = await load('digits');
    byResolver = await load('vision');
    calls = () => {
      const fromMs = performance.now() - 1_000;
      return { here: here.runs(fromMs).length, there: away.runs(fromMs).length };
    };
  });

  /** Every call since `fromMs` was answered. */
  async function assertNoneFailed(fromMs: number): Promise<void> {
    const [file, resolver] = await Promise.all([byFile.between(fromMs), byResolver.between(fromMs)]);
    assert.ok(file.length > 0 && resolver.length > 0);
    assert.deepEqual({ file: failuresOf(file), resolver: failuresOf(resolver) }, { file: '', resolver: '' });
  }

  it('calls stay at home while it has a replica', async () => {
    const fromMs = performance.now();
    const [file, resolver] = [byFile.sent, byResolver.sent];
    await until('some calls', () => byFile.sent > file + 30 && byResolver.sent > resolver + 30, LIMIT_MS);
    await assertNoneFailed(fromMs);
    const { here, there } = calls();
    assert.ok(here > 0, `${here} here`);
    assert.equal(there, 0);
  });

  it('none fails when the last replica here drains, and they come home when it is back', async () => {
    const isAway = ({ here, there }: Seen) => here === 0 && there > 10;
    const isHome = ({ here, there }: Seen) => there === 0 && here > 10;
    const fromMs = performance.now();
    await Promise.all(home.map((sidecar) => sidecar.stop()));
    await until('calls go to the other datacenter', () => isAway(calls()), LIMIT_MS);
    home = await startHome();
    await until('calls are at home again', () => isHome(calls()), LIMIT_MS);
    await assertNoneFailed(fromMs);
  });
});
