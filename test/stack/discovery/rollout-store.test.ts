/** The place that replicas agree in, as Consul keeps it: check-and-set, one leader, and what goes with a session. */
import assert from 'node:assert/strict';
import { AuditHead } from '../../../sidecar/discovery/consul/audit-head.js';
import { KvStore } from '../../../sidecar/discovery/consul/kv-store.js';
import { ConsulServer, consulOrSkip } from '../../kit/consul/consul.js';
import { type RealKit, realKit } from '../../kit/consul/real-agent.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { until } from '../../kit/process/processes.js';
import { ManualClock } from '../../kit/time/manual-clock.js';

describe('rollouts in the key-value store of Consul', function () {
  this.timeout(60_000);

  let server: ConsulServer;
  let kit: RealKit;
  const stores: KvStore[] = [];
  const open = (instance: string, service = 'mine', host = 'one'): KvStore => {
    // Renewals come when the test says so: never.
    const store = new KvStore(kit.agent, new ManualClock(), { service, instance, host });
    stores.push(store);
    return store;
  };

  before(async function () {
    await consulOrSkip(this);
    server = await ConsulServer.start();
    kit = realKit(server);
  });
  afterEach(async () => {
    await Promise.all(stores.splice(0).map((store) => store.close().catch(() => {})));
    if (server !== undefined) await server.api('DELETE', '/kv/outrider/rollout?recurse');
  });
  after(async () => {
    kit?.close();
    await server?.stop();
  });

  it('takes a write from the one that has read the last record, and from no other', async () => {
    const [one, other] = [open('mine-1'), open('mine-2')];
    assert.equal(await one.read(), undefined);
    assert.equal(await one.write({ step: 1 }, undefined, 'command'), true);
    assert.equal(await other.write({ step: 'first too' }, undefined, 'command'), false);
    const { value, index } = (await other.read())!;
    assert.deepEqual(value, { step: 1 });
    assert.equal(await other.write({ step: 2 }, index, 'command'), true);
    assert.equal(await one.write({ step: 'late' }, index, 'command'), false);
  });

  it('has one leader, whose writes count only while it leads', async () => {
    const [one, other] = [open('mine-1'), open('mine-2')];
    await one.write({ step: 0 }, undefined, 'command');
    assert.equal(
      await one.write({ step: 1 }, (await one.read())!.index, 'leader'),
      false,
      'it does not lead',
    );
    assert.equal(await one.lead(), true);
    assert.equal(await one.lead(), true, 'and goes on leading');
    assert.equal(await other.lead(), false);
    assert.equal(await one.write({ step: 1 }, (await one.read())!.index, 'leader'), true);
    assert.equal(await other.write({ step: 2 }, (await other.read())!.index, 'leader'), false);
    await one.resign();
    assert.equal(await other.lead(), true);
    assert.equal(await one.write({ step: 2 }, (await one.read())!.index, 'leader'), false, 'it led once');
    assert.equal(await other.write({ step: 2 }, (await other.read())!.index, 'leader'), true);
  });

  it('lets another leader go on from the record when the session of the first is gone', async () => {
    const [one, other] = [open('mine-1'), open('mine-2')];
    await one.write({ step: 0 }, undefined, 'command');
    await one.lead();
    await one.announce({ instance: 'mine-1' });
    await other.announce({ instance: 'mine-2' });
    assert.deepEqual(await other.received(), [{ instance: 'mine-1' }, { instance: 'mine-2' }]);
    const [session] = await server.api<{ Session: string }[]>('GET', '/kv/outrider/rollout/mine/leader');
    await server.api('PUT', `/session/destroy/${session!.Session}`);
    await until('another one leads', () => other.lead());
    assert.deepEqual(await other.received(), [{ instance: 'mine-2' }], 'what the other said went with it');
    const { index } = (await other.read())!;
    assert.equal(await one.write({ step: 'of the dead' }, index, 'leader'), false);
    assert.equal(await other.write({ step: 1 }, index, 'leader'), true);
  });

  it('leads no more, and takes no lock, once it is closed, whatever was under way', async () => {
    const [one, other] = [open('mine-1'), open('mine-2')];
    const begun = one.lead();
    await one.close();
    await assert.rejects(begun);
    await assert.rejects(one.take('recycle'), /takes no part/);
    assert.equal(await other.lead(), true);
    assert.equal(await other.take('recycle'), true);
  });

  it('refuses a sidecar of another machine with the same instance name, until the first has ended', async () => {
    const [one, twin] = [open('mine-1'), open('mine-1', 'mine', 'two')];
    await one.claim();
    await one.announce({ instance: 'mine-1', of: 'one' });
    await one.claim();
    await assert.rejects(
      twin.claim(),
      /a sidecar on one has the instance name mine-1 too; set another `instance`/,
    );
    await open('mine-2', 'mine', 'two').claim();
    assert.deepEqual(await twin.received(), [{ instance: 'mine-1', of: 'one' }]);
    // The process before, on the same machine.
    await open('mine-1').claim();
    await one.close();
    await until('it has its name', async () => {
      await twin.claim();
      return true;
    });
    await assert.rejects(open('mine-1').claim(), /a sidecar on two has the instance name/);
  });

  it('has one session, whatever asks for it first', async () => {
    const one = open('mine-1');
    await Promise.all([one.lead(), one.take('recycle'), one.announce({ instance: 'mine-1' })]);
    const entries = await server.api<{ Session?: string }[]>('GET', '/kv/outrider/rollout/mine?recurse');
    assert.equal(entries.length, 3);
    assert.equal(new Set(entries.map(({ Session }) => Session)).size, 1);
  });

  it('keeps services apart, and rejects with the reason where Consul cannot be reached', async () => {
    const [one, foreign] = [open('mine-1'), open('other-1', 'other')];
    await one.write({ step: 0 }, undefined, 'command');
    assert.equal(await foreign.read(), undefined);
    assert.equal(await one.lead(), true);
    assert.equal(await foreign.lead(), true);
    const away = realKit({ url: 'http://127.0.0.1:9' });
    const store = new KvStore(away.agent, new ManualClock(), {
      service: 'mine',
      instance: 'mine-3',
      host: 'one',
    });
    await assert.rejects(store.read(), /ECONNREFUSED/);
    away.close();
  });
});

describe('the end of an audit log in the key-value store of Consul', function () {
  this.timeout(60_000);

  it('is not overwritten by sidecars of two machines in turn', async function () {
    await consulOrSkip(this as unknown as Mocha.Context);
    const server = await ConsulServer.start();
    afterTest(() => server.stop());
    const kit = realKit(server);
    afterTest(() => kit.close());
    const clock = new ManualClock();
    const on = (host: string) =>
      new AuditHead(kit.agent, clock, { service: 'mine', instance: 'mine-1', host });
    const [one, two] = [on('one'), on('two')];
    const head = (n: number) => ({ n, hash: 'a'.repeat(64) });
    const stored = () => server.api<{ n: number; host: string }>('GET', '/kv/outrider/audit/mine/mine-1?raw');
    await one.write(head(1));
    await one.write(head(2));
    assert.equal((await stored()).n, 2);
    await two.write(head(7));
    await assert.rejects(one.write(head(3)), /a sidecar on two writes outrider\/audit\/mine\/mine-1 too/);
    await two.write(head(8));
    assert.deepEqual([(await stored()).n, (await stored()).host], [8, 'two']);
    await server.api('DELETE', '/kv/outrider/audit/mine/mine-1');
    await one.write(head(4));
    assert.equal((await stored()).n, 4);
  });
});
