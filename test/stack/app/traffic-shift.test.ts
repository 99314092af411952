/** The sidecar as a whole: splits and mirrors between its upstreams, drills, and what it tells of them. */
import assert from 'node:assert/strict';
import type { Address, RouteConfig } from '../../../sidecar/config/model.js';
import { anAnswer } from '../../kit/service/infer-answers.js';
import {
  ANY,
  aConfig,
  answered,
  SidecarInMemory,
  until,
  upstreamAt,
  withUpstreams,
} from '../../kit/stack/sidecar-in-memory.js';
import { type Application, anInbound, aRoute } from '../../kit/stack/stack.js';

describe('The sidecar shapes traffic', () => {
  let bench: SidecarInMemory;
  beforeEach(() => {
    bench = new SidecarInMemory();
  });
  afterEach(() => bench.close());

  const upstream = (name: string, address: Address, routes: readonly RouteConfig[] = [aRoute()]) =>
    upstreamAt(address, name, { routes });
  const all = (to: string) => ({ match: [], weights: { [to]: 1 } });

  const call = (app: Application) => answered(app.call());

  it('by a split, to an upstream that a reload brings', async () => {
    const [one, two] = [await bench.server('one'), await bench.server('two')];
    const first = upstream('one', one.address, [aRoute({ split: all('two') })]);
    const sidecar = await bench.sidecar(withUpstreams(first));
    const app = await bench.app(sidecar.addresses.upstreams['one']!);
    assert.equal((await call(app)).body.toString(), 'one');
    await sidecar.reload(withUpstreams(first, upstream('two', two.address)));
    assert.equal((await call(app)).body.toString(), 'two');
    await sidecar.reload(withUpstreams(first));
    assert.equal((await call(app)).body.toString(), 'one');
    const family = sidecar.view.metrics().find(({ name }) => name === 'outrider_split_total');
    assert.deepEqual(family?.samples, [
      { labels: { upstream: 'one', to: 'one' }, value: 2 },
      { labels: { upstream: 'one', to: 'two' }, value: 1 },
    ]);
  });

  it('by a mirror, and tells what it showed', async () => {
    const [one, two] = [await bench.server('one'), await bench.server('two')];
    one.backend.answer = (stream) => stream.reply(anAnswer([0, 1]));
    two.backend.answer = (stream) => stream.reply(anAnswer([1, 0]));
    const mirror = { upstream: 'two', ratio: 1, maxInFlight: 8, tolerance: 0 };
    const first = upstream('one', one.address, [aRoute({ mirror })]);
    const sidecar = await bench.sidecar(withUpstreams(first, upstream('two', two.address)));
    assert.deepEqual(sidecar.view.mirrors(), []);
    assert.equal((await call(await bench.app(sidecar.addresses.upstreams['one']!))).status, 0);
    bench.clock.advance(10);
    await until('the copy is answered', () => two.backend.requests.at(-1)?.isEnded === true);
    await until('it is counted', () => sidecar.view.mirrors()[0]!.inFlight === 0);
    bench.clock.advance(10);
    await until('it is compared', () => sidecar.view.mirrors()[0]!.compared === 1);
    const [report] = sidecar.view.mirrors();
    assert.deepEqual([report!.upstream, report!.to, report!.mismatched], ['one', 'two', 1]);
    assert.match(report!.last!, /^output "scores": 2 of 2 elements differ/);
  });

  it('by injected faults on both sides, also of upstreams that come later', async () => {
    const far = await bench.server('far');
    const model = await bench.server('model');
    const inbound = anInbound({ listen: ANY, local: model.address, mtls: 'off', defaultIntention: 'allow' });
    const config = aConfig({ faultInjection: true, inbound, outbound: { upstreams: [] } });
    const sidecar = await bench.sidecar(config);
    const desk = sidecar.view.faults();
    assert.ok(desk.isAllowed);
    const rule = { method: '*', ratio: 1, delayMs: 0 };
    desk.switchOn({ side: 'inbound', abort: 8, ...rule }, 1000);
    desk.switchOn({ side: 'outbound', abort: 5, ...rule }, 1000);
    assert.deepEqual(desk.upstreams, []);
    await sidecar.reload({ ...config, outbound: { upstreams: [upstream('far', far.address)] } });
    assert.deepEqual(desk.upstreams, ['far']);
    const peer = await bench.app(sidecar.addresses.inbound!);
    const app = await bench.app(sidecar.addresses.upstreams['far']!);
    for (const [by, status] of [
      [peer, 8],
      [app, 5],
    ] as const) {
      const struck = await call(by);
      assert.deepEqual([struck.status, struck.reason], [status, 'fault-injected']);
    }
    bench.clock.advance(1100);
    for (const by of [peer, app]) assert.equal((await call(by)).status, 0);
    const family = sidecar.view.metrics().find(({ name }) => name === 'outrider_faults_injected_total');
    assert.equal(family?.samples.length, 2);
  });
});
