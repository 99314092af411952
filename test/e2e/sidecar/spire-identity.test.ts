/** Two sidecars whose certificates come from a SPIFFE Workload API, under calls: rotation, an agent that is away, and expiry. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { writeAddress } from '../../../sidecar/config/codecs/address.js';
import { Load } from '../../drills/faults/load.js';
import { Model } from '../../drills/faults/model.js';
import { TestAuthority } from '../../kit/identity/certificates.js';
import { type ServedSvids, svidOf, WorkloadApiServer } from '../../kit/identity/workload-api-server.js';
import { outrider } from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';
import { SidecarBench } from '../../kit/process/sidecars.js';

const DOMAIN = 'mesh.example';
const PATHS = { digits: '/ns/ml/sa/digits', web: '/ns/web/sa/frontend' } as const;
const IDS = Object.fromEntries(
  Object.entries(PATHS).map(([service, path]) => [`spiffe://${DOMAIN}${path}`, service]),
);
type Service = keyof typeof PATHS;

describe('Identity from a SPIFFE Workload API', function () {
  this.timeout(60_000);
  let bench: SidecarBench;
  let authority: TestAuthority;
  let model: Model;
  const agents = new Map<Service, WorkloadApiServer>();
  let load: Load;

  async function svids(service: Service, lifetimeMs: number): Promise<ServedSvids> {
    const uri = `spiffe://${DOMAIN}${PATHS[service]}`;
    const times = { notBeforeMs: Date.now() - 10_000, notAfterMs: Date.now() + lifetimeMs };
    return { svids: [svidOf(await authority.leaf({ uris: [uri], ...times }), { spiffe_id: uri })] };
  }
  const each = (act: (agent: WorkloadApiServer, service: Service) => unknown) =>
    Promise.all([...agents].map(([service, agent]) => act(agent, service)));
  const push = (lifetimeMs: number) =>
    each(async (agent, service) => agent.push(await svids(service, lifetimeMs)));
  const fileOf = (service: Service) => ({
    ...{ service, trust_domain: DOMAIN },
    identity: { spire: `unix:${agents.get(service)!.path}`, ids: IDS },
  });

  before(async () => {
    bench = await SidecarBench.open();
    authority = await TestAuthority.root({ uris: [`spiffe://${DOMAIN}`] });
    model = await Model.start({ serviceMs: 1 });
    for (const service of ['digits', 'web'] as const)
      agents.set(
        service,
        new WorkloadApiServer(join(bench.directory, `${service}.sock`), await svids(service, 30_000)),
      );
    // The sidecars start before their agents.
    const digits = await bench.start('digits', {
      ...fileOf('digits'),
      inbound: {
        listen: '127.0.0.1:0',
        local: model.address,
        intentions: [{ from: 'web', to: 'digits', action: 'allow' }],
      },
    });
    const endpoints = [writeAddress(digits.address('inbound'))];
    const web = await bench.start('web', {
      ...fileOf('web'),
      outbound: { upstreams: { digits: { listen: '127.0.0.1:0', endpoints } } },
    });
    const { text } = await web.page('/ready');
    assert.match(text, /the SPIRE agent at unix:.*cannot be reached: connect ENOENT/);
    await each((agent) => agent.start());
    await Promise.all([digits.ready(), web.ready()]);
    load = await Load.start({
      target: writeAddress(web.address('upstream digits')),
      perSecond: 50,
      deadlineMs: 5_000,
    });
  });
  after(async () => {
    await load?.stop();
    await bench?.close();
    model?.kill();
    await each((agent) => agent.stop());
  });

  const sent = (calls: number) => {
    const from = load.sent;
    return until('calls go on', () => load.sent >= from + calls);
  };
  const rotations = () =>
    Promise.all(['digits', 'web'].map((name) => bench.processes.find((one) => one.name === name)!)).then(
      (both) => Promise.all(both.map((one) => one.metric('outrider_identity_rotations_total'))),
    );

  it('loses no call by rotations, nor by an agent that is away', async () => {
    for (let i = 0; i < 4; i++) {
      await push(30_000);
      await sent(40);
    }
    for (const count of await rotations()) assert.ok(count >= 4, String(count));
    await each((agent) => agent.stop());
    await sent(100);
    for (const { name, page } of bench.processes.map((one) => ({ name: one.name, page: one.page('/ready') })))
      assert.equal((await page).status, 200, name);
    assert.deepEqual(load.failures, []);
  });

  it('refuses calls once the certificates have ended, and answers them again when the agents are back', async () => {
    // Each agent comes back, gives an SVID that ends soon once it is heard, and is away again.
    const heard = async (serve: () => Promise<unknown>) => {
      const before = await rotations();
      await serve();
      await until('they have it', async () => (await rotations()).every((count, i) => count > before[i]!));
    };
    await heard(() =>
      each(async (agent, service) => {
        agent.answer = await svids(service, 30_000);
        await agent.start();
      }),
    );
    await heard(() => push(4_000));
    await each((agent) => agent.stop());
    await until('calls are refused', () => load.failures.length > 20);
    for (const { failure } of load.failures) assert.match(failure!, /UNAVAILABLE/);
    await each(async (agent, service) => {
      agent.answer = await svids(service, 60_000);
      await agent.start();
    });
    await until('no call fails', async () => {
      const failed = load.failures.length;
      await sent(50);
      return load.failures.length === failed;
    });
  });

  it('outrider check says what the agent gives, and what is wrong with the socket', async () => {
    const file = await bench.write('checked', {
      ...fileOf('web'),
      outbound: { upstreams: { digits: { listen: '127.0.0.1:0', endpoints: ['127.0.0.1:9'] } } },
    });
    const check = async () => (await outrider(['check', '--mesh', file])).stdout;
    const found = await check();
    assert.match(found, /unix:.*web.sock: spiffe:\/\/mesh.example\/ns\/web\/sa\/frontend, ends in 1 min/);
    agents.get('web')!.stop();
    assert.match(await check(), /unix:.*web.sock: no such socket/);
  });
});
