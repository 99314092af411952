/** The sidecar as a whole: what it builds from a configuration, what a reload changes, how it ends. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeAddress } from '../../../sidecar/config/codecs/address.js';
import type { Address } from '../../../sidecar/config/model.js';
import { ListenSockets } from '../../../sidecar/runtime/process/listen-sockets.js';
import { scratchForEach } from '../../kit/mocha/scratch.js';
import { freePort } from '../../kit/process/free-port.js';
import { httpAsk } from '../../kit/process/http-ask.js';
import {
  ANY,
  aConfig,
  answered,
  SidecarInMemory,
  until,
  upstreamAt,
  withUpstreams,
} from '../../kit/stack/sidecar-in-memory.js';
import {
  type Application,
  anInbound,
  aRoute,
  aStreamRoute,
  type UpstreamOptions,
} from '../../kit/stack/stack.js';

describe('The sidecar', () => {
  const scratch = scratchForEach();
  let bench: SidecarInMemory;
  beforeEach(() => {
    bench = new SidecarInMemory();
  });
  afterEach(() => bench.close());

  const upstream = (name: string, address: Address, over?: UpstreamOptions) =>
    upstreamAt(address, name, over);
  const shared = (by: 'authority' | 'metadata') => ({ listen: ANY, by, metadataKey: 'x-upstream' });

  /** An address where nothing listens. */
  const nobody = async (): Promise<Address> => {
    const { address, server } = await bench.server('nobody');
    server.close();
    return address;
  };

  const open = (local: Address) => ({ mtls: 'off', listen: ANY, local, defaultIntention: 'allow' }) as const;

  it('that is followed by another process writes what it decides while it drains into the audit log', async () => {
    const path = join(scratch.path, 'audit.jsonl');
    const audit = { path, rotateAtBytes: 1024 * 1024, keep: 1 };
    const { address } = await bench.server('one');
    const before = await bench.sidecar({ ...withUpstreams(upstream('one', address)), audit });
    const kinds = () =>
      readFileSync(path, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => (JSON.parse(line) as { kind: string }).kind);
    await until('the log is begun', () => existsSync(path) && kinds().length > 1);
    before.handOver();
    await before.drain();
    await before.stop();
    assert.ok(kinds().includes('drain-began'), kinds().join());
    assert.equal(existsSync(`${path}.lock`), false, 'the successor has the file');
  });

  describe('routes calls', () => {
    const appOf = async (by: 'authority' | 'metadata'): Promise<Application> => {
      const { address } = await bench.server('one');
      const outbound = { upstreams: [upstream('one', address)], shared: shared(by) };
      return bench.app((await bench.sidecar(aConfig({ outbound }))).addresses.shared!);
    };

    it('of a listener to its upstream', async () => {
      const one = await bench.server('one');
      const two = await bench.server('two');
      const both = withUpstreams(upstream('one', one.address), upstream('two', two.address));
      const sidecar = await bench.sidecar(both);
      for (const name of ['one', 'two']) {
        const call = await answered((await bench.app(sidecar.addresses.upstreams[name]!)).call());
        assert.equal(call.body.toString(), name);
      }
      assert.deepEqual(sidecar.view.notReady(), []);
    });

    it('of the shared listener by their authority', async () => {
      const app = await appOf('authority');
      for (const authority of ['one', 'one:9000', 'one.mesh', 'one.mesh.local:80']) {
        const call = await answered(app.call({ authority }));
        assert.equal(call.status, 0, authority);
      }
      for (const authority of ['two', 'on', 'one-more', '']) {
        const call = await answered(app.call({ authority }));
        assert.deepEqual([call.status, call.reason], [12, 'unknown-route'], authority);
      }
    });

    it('of the shared listener by metadata', async () => {
      const app = await appOf('metadata');
      const [named, unnamed] = [app.call({ metadata: [['x-upstream', 'one']] }), app.call()];
      await until('answers', () => named.isOver && unnamed.isOver);
      assert.deepEqual([named.status, unnamed.status], [0, 12]);
    });
  });

  describe('does not start', () => {
    it('at an address that is taken, and leaves nothing behind', async () => {
      const { address, backend } = await bench.server('one');
      const impossible = upstream('two', address, { listen: await bench.taken() });
      const config = withUpstreams(upstream('one', address), impossible);
      await assert.rejects(bench.sidecar(config), /EADDRINUSE/);
      await until('its connections are closed', () => backend.peers.every(({ isClosed }) => isClosed));
      bench.clock.advance(60_000);
      assert.equal(bench.clock.pending(), 0);
    });
  });

  describe('reloads', () => {
    it('upstreams that come and go, and lets calls of the gone end', async () => {
      const one = await bench.server('one');
      const two = await bench.server('two');
      const outbound = { upstreams: [upstream('one', one.address)], shared: shared('authority') };
      const sidecar = await bench.sidecar(aConfig({ outbound }));
      const app = await bench.app(sidecar.addresses.shared!);
      one.backend.answer = () => {};
      const slow = app.call({ authority: 'one' });
      await until('it is there', () => one.backend.requests.length === 1);
      await sidecar.reload(aConfig({ outbound: { ...outbound, upstreams: [upstream('two', two.address)] } }));
      const [gone, fresh] = [app.call({ authority: 'one' }), app.call({ authority: 'two' })];
      await until('answers', () => gone.isOver && fresh.isOver);
      assert.deepEqual([gone.status, fresh.status], [12, 0]);
      one.backend.last.reply();
      await answered(slow);
      assert.equal(slow.status, 0);
      await until('no connection is left', () => one.backend.open.length === 0);
    });

    it('upstreams that go, and a drain waits for the calls on their listeners', async () => {
      const { address, backend } = await bench.server('one');
      const sidecar = await bench.sidecar(withUpstreams(upstream('one', address)));
      const app = await bench.app(sidecar.addresses.upstreams['one']!);
      backend.answer = () => {};
      const slow = app.call();
      await until('it is there', () => backend.requests.length === 1);
      await sidecar.reload(withUpstreams());
      let isDrained = false;
      void sidecar.drain().then(() => {
        isDrained = true;
      });
      await until('GOAWAY', () => app.goaways.length === 1);
      await new Promise(setImmediate);
      assert.equal(isDrained, false);
      backend.last.reply();
      await answered(slow);
      bench.clock.advance(300);
      await until('the drain is over', () => isDrained);
      assert.equal(slow.status, 0);
    });

    it('nothing when one new listener cannot be opened', async () => {
      const { address } = await bench.server('one');
      const before = withUpstreams(upstream('one', address));
      const sidecar = await bench.sidecar(before);
      const app = await bench.app(sidecar.addresses.upstreams['one']!);
      const next = [
        upstream('one', address, { routes: [aRoute({ methods: ['/none.S/M'] })] }),
        upstream('two', address),
        upstream('three', address, { listen: await bench.taken() }),
      ];
      await assert.rejects(sidecar.reload(withUpstreams(...next)), /EADDRINUSE/);
      assert.deepEqual(Object.keys(sidecar.addresses.upstreams), ['one']);
      assert.deepEqual(sidecar.view.config(), before);
      const call = await answered(app.call());
      assert.equal(call.status, 0);
      await sidecar.reload(withUpstreams(upstream('one', address), upstream('two', address)));
      assert.deepEqual(Object.keys(sidecar.addresses.upstreams), ['one', 'two']);
    });

    it('an upstream’s new name at its old address', async () => {
      const { address } = await bench.server('one');
      const sidecar = await bench.sidecar(withUpstreams(upstream('one', address)));
      const listen = sidecar.addresses.upstreams['one']!;
      await sidecar.reload(withUpstreams(upstream('one', address, { listen })));
      const renamed = upstream('uno', address, { listen });
      const impossible = upstream('two', address, { listen: await bench.taken() });
      await assert.rejects(sidecar.reload(withUpstreams(renamed, impossible)), /EADDRINUSE/);
      assert.deepEqual(sidecar.addresses.upstreams, { one: listen });
      await sidecar.reload(withUpstreams(renamed));
      const call = await answered((await bench.app(listen)).call());
      assert.equal(call.status, 0);
    });

    it('an upstream at the address where a removed one still listened, after a move that awaited a restart', async () => {
      const { address } = await bench.server('one');
      const at = (name: string, port: number) =>
        upstream(name, address, { listen: { kind: 'tcp', host: '127.0.0.1', port } });
      const [old, moved] = [await freePort(), await freePort()];
      const sidecar = await bench.sidecar(withUpstreams(at('two', old)));
      const { needsRestart } = await sidecar.reload(withUpstreams(at('two', moved)));
      assert.deepEqual(needsRestart, ['outbound.upstreams.two.listen']);
      await assert.rejects(
        sidecar.reload(withUpstreams(at('two', moved), at('three', old))),
        /^Error: outbound\.upstreams\.three\.listen: found 127\.0\.0\.1:\d+, where upstream two listens until a restart/,
      );
      const impossible = upstream('four', address, { listen: await bench.taken() });
      await assert.rejects(sidecar.reload(withUpstreams(at('three', old), impossible)), /EADDRINUSE/);
      const listen = { kind: 'tcp', host: '127.0.0.1', port: old } as const;
      assert.deepEqual(sidecar.addresses.upstreams, { two: listen });
      await sidecar.reload(withUpstreams(at('three', old)));
      assert.deepEqual(sidecar.addresses.upstreams, { three: listen });
      assert.equal((await answered((await bench.app(listen)).call())).status, 0);
    });

    it('and says what only a restart takes over', async () => {
      const { address } = await bench.server('one');
      const config = withUpstreams(upstream('one', address));
      const sidecar = await bench.sidecar(config);
      assert.deepEqual((await sidecar.reload(config)).needsRestart, []);
      const next = { ...config, service: 'other', limits: { ...config.limits, maxConnections: 1 } };
      assert.deepEqual((await sidecar.reload(next)).needsRestart, ['service', 'limits']);
    });

    it('intentions: a stream that is no longer allowed ends', async () => {
      const { address, backend } = await bench.server('model');
      backend.answer = () => {};
      const inbound = anInbound({ ...open(address), intentions: [], routes: [aStreamRoute()] });
      const sidecar = await bench.sidecar(aConfig({ inbound }));
      const app = await bench.app(sidecar.addresses.inbound!);
      const call = app.call({ body: null });
      await until('it is there', () => backend.requests.length === 1);
      await sidecar.reload(aConfig({ inbound: { ...inbound, defaultIntention: 'deny' } }));
      await answered(call);
      assert.deepEqual([call.status, call.reason], [7, 'not-allowed']);
      await until('a reset', () => backend.last.resetCode !== undefined);
    });

    it('no part of what only a restart takes over', async () => {
      const { address } = await bench.server('model');
      const inbound = anInbound(open(address));
      const sidecar = await bench.sidecar(aConfig({ inbound }));
      const engine = { ...inbound, mtls: 'strict', engine: 'vllm', engineModel: 'a' } as const;
      const { needsRestart } = await sidecar.reload(aConfig({ inbound: engine }));
      assert.deepEqual(needsRestart, ['inbound.mtls', 'inbound.engine', 'inbound.engine_model']);
      const app = await bench.app(sidecar.addresses.inbound!);
      const call = await answered(app.call());
      assert.deepEqual([call.status, call.reason], [0, undefined], 'the port is still open to all');
      const inForce = (sidecar.view.config() as { inbound: Record<string, unknown> }).inbound;
      const { mtls, engine: kind, engineModel } = inForce;
      assert.deepEqual([mtls, kind, engineModel], ['off', undefined, undefined]);
    });
  });

  it('has its upstreams after a reload that failed, also those whose address was to be taken over', async () => {
    class Sockets extends ListenSockets {
      override async listen(...of: Parameters<ListenSockets['listen']>) {
        if (of[0] === 'upstream.four') throw new Error('refused');
        return await super.listen(...of);
      }
    }
    const one = await bench.server('one');
    const places = [await freePort(), await freePort()];
    const at = (name: string, i: number) =>
      upstream(name, one.address, { listen: { kind: 'tcp', host: '127.0.0.1', port: places[i]! } });
    const sidecar = await bench.sidecar(withUpstreams(at('one', 0), at('two', 1)), {
      sockets: new Sockets(),
    });
    await assert.rejects(sidecar.reload(withUpstreams(at('three', 0), at('four', 1))), /refused/);
    assert.deepEqual(Object.keys(sidecar.addresses.upstreams).sort(), ['one', 'two']);
    for (const name of ['one', 'two']) {
      const call = await answered((await bench.app(sidecar.addresses.upstreams[name]!)).call());
      assert.equal(call.status, 0, name);
    }
  });

  describe('as the successor of another', () => {
    it('does not wait for upstreams that its predecessor does not reach, and for all others', async () => {
      const [one, two] = [await bench.server('one'), await bench.server('two')];
      const dead = (await bench.server('three')) as Awaited<ReturnType<SidecarInMemory['server']>>;
      dead.server.close();
      const config = withUpstreams(
        upstream('one', one.address),
        upstream('two', two.address),
        upstream('three', dead.address),
      );
      const before = await bench.sidecar(config);
      await until('two are reached', () => before.view.notReady().length === 1);
      assert.deepEqual(before.unreached, { lost: [], never: ['three'], reached: ['one', 'two'] });
      two.server.close();
      two.backend.peer.socket.destroy();
      await until('it is lost', () => before.unreached.lost.length === 1);
      assert.deepEqual(before.unreached, { lost: ['two'], never: ['three'], reached: ['one'] });

      const { unreached } = before;
      one.backend.mode = 'silent';
      const sockets = new ListenSockets({ holdBack: true, sockets: {}, unreached });
      const after = await bench.sidecar(config, { sockets });
      const why = 'no endpoint is connected yet';
      await until(
        'two are tried',
        () => two.backend.mode === 'accepts' && after.view.notReady().length === 1,
      );
      assert.deepEqual(after.view.notReady(), [`upstream one: ${why}`]);
      one.backend.mode = 'accepts';
      bench.clock.advance(60_000);
      await until('it is ready', () => after.view.notReady().length === 0);
      after.accept();
      assert.deepEqual(after.view.notReady(), [`upstream three: ${why}`], 'as its predecessor');

      const alone = await bench.sidecar(config);
      await until('one is reached', () => alone.view.notReady().length === 2);
      assert.deepEqual(alone.view.notReady(), [`upstream two: ${why}`, `upstream three: ${why}`]);
    });

    it('goes on as ready as its predecessor, which a reload gave an upstream that nobody reaches', async () => {
      const one = await bench.server('one');
      const kept = upstream('one', one.address);
      const config = withUpstreams(kept, upstream('two', await nobody()));
      const before = await bench.sidecar(withUpstreams(kept));
      await until('it is ready', () => before.view.notReady().length === 0);
      await before.reload(config);
      assert.deepEqual(before.unreached, { lost: ['two'], never: [], reached: ['one'] });
      const sockets = new ListenSockets({ holdBack: true, sockets: {}, unreached: before.unreached });
      const after = await bench.sidecar(config, { sockets });
      await until('it is ready', () => after.view.notReady().length === 0);
      after.accept();
      assert.deepEqual(after.view.notReady(), []);
      await after.reload(withUpstreams(kept));
      await after.reload(config);
      assert.deepEqual(after.view.notReady(), []);
    });

    it('does not wait for what its file adds, and that does not count later where its predecessor was ready', async () => {
      const one = await bench.server('one');
      const more = withUpstreams(upstream('one', one.address), upstream('two', await nobody()));
      const start = async (never: string[]) => {
        const unreached = { lost: [], never, reached: ['one'] };
        const sockets = new ListenSockets({ holdBack: true, sockets: {}, unreached });
        const after = await bench.sidecar(more, { sockets });
        assert.deepEqual(after.view.notReady(), ['upstream one: no endpoint is connected yet']);
        await until('one is reached', () => after.view.notReady().length === 0);
        after.accept();
        return after.view.notReady();
      };
      assert.deepEqual(await start([]), []);
      assert.deepEqual(await start(['gone']), ['upstream two: no endpoint is connected yet']);
    });

    it('waits for upstreams, also beside a model, until it accepts', async () => {
      const model = await bench.server('model');
      const { outbound } = withUpstreams(upstream('one', await nobody()));
      const config = aConfig({ inbound: anInbound(open(model.address)), outbound: outbound! });
      const sockets = new ListenSockets({ holdBack: true, sockets: {} });
      const after = await bench.sidecar(config, { sockets });
      const reason = 'upstream one: no endpoint is connected yet';
      await until('its model is there', () => after.view.notReady().length === 1);
      assert.deepEqual([after.view.notReady(), after.view.unreached()], [[reason], []]);
      after.accept();
      assert.deepEqual([after.view.notReady(), after.view.unreached()], [[], [reason]]);
    });
  });

  describe('is ready', () => {
    const away = (name: string) => `upstream ${name}: no endpoint is connected yet`;

    it('beside a model whatever it reaches, and says what it does not reach', async () => {
      const model = await bench.server('model');
      const inbound = anInbound(open(model.address));
      const upstreams = [upstream('one', await nobody())];
      const sidecar = await bench.sidecar(aConfig({ inbound, outbound: { upstreams } }));
      await until('it is ready', () => sidecar.view.notReady().length === 0);
      assert.deepEqual(sidecar.view.notStarted(), []);
      const more = [...upstreams, upstream('two', await nobody())];
      await sidecar.reload(aConfig({ inbound, outbound: { upstreams: more } }));
      assert.deepEqual([...sidecar.view.notReady(), ...sidecar.view.notStarted()], []);
      assert.deepEqual(sidecar.view.unreached(), [away('one'), away('two')]);
      assert.deepEqual(sidecar.view.unreachedNeeded(), sidecar.view.unreached());
    });

    it('beside a model, and says which upstreams its calls need of those that it does not reach', async () => {
      const model = await bench.server('model');
      const routes = [aRoute({ fallback: [{ kind: 'upstream', upstream: 'spare' }] })];
      const server = `http://${writeAddress(await nobody())}`;
      const kubernetes = { service: 'cold', port: 'peers', family: 'any', server } as const;
      const coldStart = { waitMs: 1_000, maxWaiting: 1 };
      const upstreams = [
        upstream('one', await nobody(), { routes }),
        upstream('spare', await nobody()),
        { ...upstream('cold', await nobody(), { coldStart }), endpoints: [], kubernetes },
      ];
      const config = aConfig({ inbound: anInbound(open(model.address)), outbound: { upstreams } });
      const { view } = await bench.sidecar(config);
      assert.match(
        view.unreached().join('\n'),
        /^upstream one: .*\nupstream spare: .*\nupstream cold: its endpoints/,
      );
      assert.deepEqual(view.unreachedNeeded(), [away('one')]);
    });

    it('beside a model, and knows what it has reached, though nobody asked while it did', async () => {
      const [model, one] = [await bench.server('model'), await bench.server('one')];
      const routes = [aRoute({ fallback: [{ kind: 'upstream', upstream: 'spare' }] })];
      const upstreams = [upstream('one', one.address, { routes }), upstream('spare', await nobody())];
      const sidecar = await bench.sidecar(
        aConfig({ inbound: anInbound(open(model.address)), outbound: { upstreams } }),
      );
      const connections = () => sidecar.view.endpoints()[0]?.connections;
      await until('it is connected', () => connections() === 1);
      one.server.close();
      one.backend.peer.socket.destroy();
      await until('it is lost', () => connections() === 0);
      assert.deepEqual(sidecar.view.unreached(), [away('spare')]);
      // A target of others held up nothing: it counts as reached, and an upstream that the file of a successor adds does.
      assert.deepEqual(sidecar.unreached, { lost: ['one', 'spare'], never: [], reached: [] });
    });

    it('as a scaler whatever it reaches: KEDA starts what it does not reach', async () => {
      const { outbound } = withUpstreams(upstream('one', await nobody()));
      const sidecar = await bench.sidecar(aConfig({ outbound: outbound!, scaler: { listen: ANY } }));
      assert.deepEqual([sidecar.view.notReady(), sidecar.view.unreached()], [[], [away('one')]]);
      assert.deepEqual(sidecar.view.unreachedNeeded(), []);
    });

    it('beside a caller alone once it has reached its upstreams, except targets of others', async () => {
      const one = await bench.server('one');
      one.backend.mode = 'silent';
      const routes = [aRoute({ fallback: [{ kind: 'upstream', upstream: 'spare' }] })];
      const config = withUpstreams(
        upstream('one', one.address, { routes }),
        upstream('spare', await nobody()),
      );
      const sidecar = await bench.sidecar(config);
      assert.deepEqual(sidecar.view.notReady(), [away('one')]);
      assert.deepEqual(sidecar.view.notStarted(), [away('one')]);
      assert.deepEqual(sidecar.view.unreached(), [away('spare')]);
      assert.deepEqual(sidecar.view.unreachedNeeded(), []);
      one.backend.mode = 'accepts';
      bench.clock.advance(60_000);
      await until('it is ready', () => sidecar.view.notReady().length === 0);
      assert.deepEqual(sidecar.view.notStarted(), []);
    });

    it('beside a caller still after a reload has added an upstream that nobody reaches', async () => {
      const one = await bench.server('one');
      const config = withUpstreams(upstream('one', one.address));
      const sidecar = await bench.sidecar(config);
      await until('it is connected', () => sidecar.view.endpoints()[0]?.connections === 1);
      // Nobody has asked whether it is ready.
      await sidecar.reload(withUpstreams(upstream('one', one.address), upstream('two', await nobody())));
      assert.deepEqual([...sidecar.view.notReady(), ...sidecar.view.notStarted()], []);
      assert.deepEqual(sidecar.view.unreached(), [away('two')]);
    });

    it('beside a caller not before what a reload adds is reached, where it was not ready before', async () => {
      const config = withUpstreams(upstream('one', await nobody()));
      const sidecar = await bench.sidecar(config);
      await sidecar.reload(withUpstreams(upstream('two', await nobody())));
      assert.deepEqual(sidecar.view.notReady(), [away('two')]);
    });
  });

  describe('with a model that is not supervised', () => {
    const start = async () => {
      const model = await bench.server('model');
      const sidecar = await bench.sidecar(aConfig({ inbound: anInbound(open(model.address)) }));
      const app = await bench.app(sidecar.addresses.inbound!);
      await until('it is ready', () => sidecar.view.notReady().length === 0);
      return { ...model, sidecar, app };
    };

    it('is ready when it can be reached, and not when it cannot', async () => {
      const { sidecar, server, backend, app } = await start();
      server.close();
      backend.peer.socket.destroy();
      await until('it is away', () => sidecar.view.notReady().length > 0);
      assert.match(sidecar.view.notReady()[0]!, /^model: ECONNREFUSED/);
      const call = await answered(app.call());
      assert.deepEqual([call.status, call.reason], [14, 'model-unavailable']);
    });

    it('stays ready while a connection is replaced', async () => {
      const { sidecar, backend, app } = await start();
      backend.peer.goaway(0);
      await until('a second connection', () => backend.peers.length === 2);
      assert.deepEqual(sidecar.view.notReady(), []);
      const call = await answered(app.call());
      assert.equal(call.status, 0);
    });
  });

  describe('drains', () => {
    it('and still says so, and its metrics, at the read-only listener', async () => {
      const { address } = await bench.server('one');
      const sidecar = await bench.sidecar({ ...withUpstreams(upstream('one', address)), observe: ANY });
      const { observe } = sidecar.addresses;
      assert.equal((await httpAsk(observe!, { path: '/ready' })).status, 200);
      await sidecar.drain();
      const { status, text } = await httpAsk(observe!, { path: '/ready' });
      assert.deepEqual([status, text], [503, 'draining\n']);
      assert.match((await httpAsk(observe!, { path: '/metrics' })).text, /^outrider_connections_open 0$/m);
      await sidecar.stop();
      await assert.rejects(httpAsk(observe!, { path: '/ready' }), { code: 'ECONNREFUSED' });
    });

    it('until the last call has ended, and is not ready meanwhile', async () => {
      const { address, backend } = await bench.server('one');
      const sidecar = await bench.sidecar(withUpstreams(upstream('one', address)));
      const app = await bench.app(sidecar.addresses.upstreams['one']!);
      backend.answer = () => {};
      const call = app.call();
      await until('it is there', () => backend.requests.length === 1);
      let isOver = false;
      void sidecar.drain().then(() => {
        isOver = true;
      });
      assert.deepEqual(sidecar.view.notReady(), ['draining']);
      await until('GOAWAY', () => app.goaways.length === 1);
      assert.equal(isOver, false);
      backend.last.reply();
      await answered(call);
      bench.clock.advance(300);
      await until('the drain is over', () => isOver);
      assert.equal(call.status, 0);
    });

    it('no longer than its timeout', async () => {
      const { address, backend } = await bench.server('one');
      const config = withUpstreams(upstream('one', address));
      const sidecar = await bench.sidecar({ ...config, drainTimeoutMs: 2000 });
      const app = await bench.app(sidecar.addresses.upstreams['one']!);
      backend.answer = () => {};
      const call = app.call();
      await until('it is there', () => backend.requests.length === 1);
      let isOver = false;
      void sidecar.drain().then(() => {
        isOver = true;
      });
      await until('GOAWAY', () => app.goaways.length === 1);
      bench.clock.advance(1990);
      await new Promise(setImmediate);
      assert.deepEqual([isOver, call.isOver], [false, false]);
      bench.clock.advance(20);
      await until('the drain is over', () => isOver);
      await answered(call);
      assert.deepEqual([call.status, call.reason], [14, 'drain-timeout'], 'its caller is told');
    });

    it('a caller that reads nothing does not make it longer', async () => {
      const { address, backend } = await bench.server('one');
      const config = withUpstreams(upstream('one', address));
      const sidecar = await bench.sidecar({ ...config, drainTimeoutMs: 2000 });
      const app = await bench.app(sidecar.addresses.upstreams['one']!);
      backend.answer = () => {};
      app.call();
      await until('it is there', () => backend.requests.length === 1);
      let isOver = false;
      void sidecar.drain().then(() => {
        isOver = true;
      });
      await until('GOAWAY', () => app.goaways.length === 1);
      app.socket.pause();
      bench.clock.advance(2_000);
      await new Promise(setImmediate);
      bench.clock.advance(500);
      await until('the drain is over', () => isOver);
    });
  });
});
