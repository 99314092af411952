import assert from 'node:assert/strict';
import type { AdoptedProxy } from '../../../../../sidecar/config/model.js';
import {
  type AdoptionDeps,
  ProxyAdoption,
} from '../../../../../sidecar/discovery/consul/registration/adoption.js';
import type { AdoptConfig } from '../../../../../sidecar/discovery/consul/registration/adoption-reader.js';
import { LogLines } from '../../../../kit/consul/registration-kit.js';
import { answerOf, type Read, ScriptedAgent } from '../../../../kit/consul/scripted-agent.js';
import { ManualClock } from '../../../../kit/time/manual-clock.js';
import { constant } from '../../../../kit/time/seeded-random.js';

const PATH = '/agent/service/d1-sidecar-proxy';

/** The registration at a port. */
const registered = (port: number, config: object = {}) => ({
  Kind: 'connect-proxy',
  ID: 'd1-sidecar-proxy',
  Port: port,
  Proxy: { DestinationServiceName: 'digits', DestinationServiceID: 'd1', Config: config },
});

describe('an adoption', () => {
  let clock: ManualClock;
  let agent: ScriptedAgent;
  let log: LogLines;
  let adoption: ProxyAdoption;
  let changes: number[];

  const make = (wanted: AdoptConfig, cache?: AdoptionDeps['cache']) => {
    const time = { clock, timers: clock, random: constant(0.5) };
    const deps = { ...time, logger: log.logger, waitMs: 300_000, cache };
    adoption = new ProxyAdoption(wanted, agent, deps);
  };

  beforeEach(() => {
    clock = new ManualClock();
    agent = new ScriptedAgent(clock);
    log = new LogLines();
    changes = [];
    make({ proxy: 'd1-sidecar-proxy' });
  });

  afterEach(() => adoption.close());

  /** An answer with a hash, as agents give for a service. */
  async function answer(read: Read, body: unknown, hash: string): Promise<void> {
    const full = { ...answerOf(undefined, body), headers: { 'x-consul-contenthash': hash } };
    await read.give(full);
  }

  const portOf = ({ listen }: AdoptedProxy) => (listen.kind === 'tcp' ? listen.port : 0);

  /** Read once, and followed. */
  async function followed(): Promise<void> {
    const first = adoption.first();
    await answer(agent.one, registered(21_000), 'a');
    await first;
    adoption.follow(() => changes.push(portOf(adoption.proxy)));
    await clock.settle();
  }

  it('reads the registration, then holds a read open until it changes', async () => {
    await followed();
    assert.equal(portOf(adoption.proxy), 21_000);
    assert.deepEqual(agent.one.query, { hash: 'a', wait: '300000ms' });
    await answer(agent.one, registered(21_001), 'b');
    assert.deepEqual(changes, [21_001]);
    await clock.settle(1_000);
    assert.equal(agent.one.query['hash'], 'b');
  });

  it('an answer that says the same is no change', async () => {
    await followed();
    await answer(agent.one, registered(21_000), 'b');
    assert.deepEqual(changes, []);
  });

  it('an agent that answers at once again and again is asked once a second', async () => {
    await followed();
    for (let i = 0; i < 5; i++) {
      await answer(agent.one, registered(21_000), 'a');
      assert.equal(agent.open.length, 0);
      await clock.settle(1_000);
    }
    assert.equal(agent.reads.length, 7);
  });

  it('a registration that is taken away stays in force, is reported, and is followed once it is back', async () => {
    await followed();
    await agent.one.refuse(404, 'unknown service ID');
    assert.equal(adoption.isHeld, false);
    assert.match(adoption.problem!, /the agent has no registration "d1-sidecar-proxy"/);
    assert.equal(portOf(adoption.proxy), 21_000);
    assert.deepEqual(adoption.notReady(), [], 'calls go on');
    await clock.settle(1_000);
    await agent.one.refuse(404, 'unknown service ID');
    assert.equal(log.lines.filter((line) => line.startsWith('warn')).length, 1, 'said once');
    await clock.settle(2_000);
    await answer(agent.one, registered(21_000), 'c');
    assert.equal(adoption.problem, undefined);
    assert.deepEqual(changes, []);
  });

  it('an agent that is away changes nothing', async () => {
    await followed();
    await agent.one.break('unreachable');
    for (let i = 0; i < 10; i++) {
      await clock.settle(5_000);
      await agent.one.break('unreachable');
    }
    assert.deepEqual([changes, adoption.notReady()], [[], []]);
    assert.equal(adoption.problem, 'unreachable');
  });

  it('a registration that becomes something else stays as it was', async () => {
    await followed();
    await answer(agent.one, { ...registered(21_001), Kind: 'mesh-gateway' }, 'b');
    assert.match(adoption.problem!, /of the kind "mesh-gateway"/);
    assert.deepEqual(changes, []);
  });

  it('what needs a restart counts against readiness until it is undone', async () => {
    await followed();
    adoption.recordMoved('it has moved');
    adoption.recordMoved('it has moved');
    assert.deepEqual(adoption.notReady(), ['registration: it has moved']);
    assert.equal(log.lines.filter((line) => line.startsWith('error')).length, 1);
    adoption.recordMoved(undefined);
    assert.deepEqual(adoption.notReady(), []);
  });

  it('waits for a registration that comes later', async () => {
    const first = adoption.first();
    await agent.at(PATH).refuse(404, 'unknown service ID');
    await clock.settle(1_000);
    await agent.at(PATH).break('unreachable');
    await clock.settle(1_000);
    await answer(agent.at(PATH), registered(21_000), 'a');
    assert.equal(portOf(await first), 21_000);
  });

  it('gives up after 30 s, with the reason', async () => {
    const first = adoption.first();
    const failed = assert.rejects(
      first,
      /consul.adopt: the agent has no registration "d1-sidecar-proxy"; expected a connect-proxy/,
    );
    for (let i = 0; i <= 30; i++) {
      await agent.one.refuse(404, 'unknown service ID');
      await clock.settle(1_000);
    }
    await failed;
    assert.equal(agent.reads.length, 31);
  });

  it('waits for an agent that is away for as long as it takes, and says so once', async () => {
    let waits = 0;
    const first = adoption.first({ onWaiting: () => waits++ });
    for (let i = 0; i < 200; i++) {
      assert.equal(agent.open.length, 1, 'one request at a time');
      if (i % 2 === 0) await agent.one.break('unreachable');
      else await agent.one.refuse(500, 'No cluster leader');
      await clock.settle(1_000);
    }
    assert.equal(waits, 1);
    assert.equal(adoption.isHeld, false);
    assert.match(adoption.problem!, /consul.adopt: /);
    await agent.one.refuse(404, 'unknown service ID');
    await clock.settle(1_000);
    await answer(agent.one, registered(21_000), 'a');
    assert.equal(portOf(await first), 21_000);
    assert.equal(adoption.problem, undefined);
  });

  it('gives an agent that is back 30 s for the registration, and one that is away the time it is told', async () => {
    const first = adoption.first();
    for (let i = 0; i < 40; i++) {
      await agent.one.break('unreachable');
      await clock.settle(1_000);
    }
    const failed = assert.rejects(first, /the agent has no registration/);
    for (let i = 0; i <= 30; i++) {
      await agent.one.refuse(404, 'unknown service ID');
      await clock.settle(1_000);
    }
    await failed;
    const short = assert.rejects(adoption.first({ agentLimitMs: 2_000 }), /unreachable/);
    for (let i = 0; i <= 2; i++) {
      await agent.one.break('unreachable');
      await clock.settle(1_000);
    }
    await short;
  });

  it('gives up at once on a registration that is no proxy', async () => {
    const failed = assert.rejects(adoption.first(), /is a service, no proxy; expected a connect-proxy/);
    await answer(agent.one, { ...registered(1), Kind: '' }, 'a');
    await failed;
  });

  it('says what of the registration is not applied', async () => {
    const first = adoption.first();
    await answer(agent.one, registered(21_000, { envoy_stats_tags: [] }), 'a');
    await first;
    assert.equal(adoption.unapplied().length, 1);
    assert.match(log.lines[0]!, /a part of the adopted registration is not applied.*envoy_stats_tags/);
  });

  describe('with a cache', () => {
    const stored = new Map<string, unknown>();
    const cache = {
      load: (section: string) => stored.get(section),
      save: (section: string, value: unknown) => void stored.set(section, value),
      flush: () => {},
    };
    const remembering = (wanted: AdoptConfig): void => make(wanted, cache);

    beforeEach(() => {
      stored.clear();
      remembering({ proxy: 'd1-sidecar-proxy' });
    });

    it('begins with what an earlier process read when the agent is away, and follows it when it is back', async () => {
      await followed();
      adoption.close();
      agent = new ScriptedAgent(clock);
      remembering({ proxy: 'd1-sidecar-proxy' });
      const first = adoption.first();
      await agent.one.break('unreachable');
      assert.equal(portOf(await first), 21_000);
      assert.deepEqual([adoption.isHeld, adoption.problem], [false, 'unreachable']);
      assert.match(log.lines.at(-1)!, /what an earlier process read is in force/);
      adoption.follow(() => changes.push(portOf(adoption.proxy)));
      await clock.settle();
      await answer(agent.one, registered(21_001), 'b');
      assert.deepEqual([changes, adoption.isHeld], [[21_001], true]);
    });

    for (const { title, wanted, refuse } of [
      {
        title: 'refuses the token',
        wanted: { proxy: 'd1-sidecar-proxy' },
        refuse: () => agent.at(PATH).refuse(403, 'Permission denied'),
      },
      {
        title: 'lists no service',
        wanted: { sidecarFor: 'd1' },
        refuse: () => agent.at('/agent/services').answer(undefined, {}),
      },
    ])
      it(`begins with it when the agent ${title} without a server that knows tokens, and does not when it has one`, async () => {
        remembering(wanted);
        stored.set('registration d1-sidecar-proxy', registered(21_000));
        stored.set('registration for d1', registered(21_000));
        const judged = adoption.first();
        await refuse();
        await agent.at('/status/leader').answer(undefined, '"127.0.0.1:8300"');
        assert.equal(adoption.isHeld, false, 'it is waited for');
        await clock.settle(1_000);
        await refuse();
        await agent.at('/status/leader').refuse(404, 'a proxy without this page');
        assert.equal(adoption.isHeld, false, 'nothing is known of servers');
        await clock.settle(1_000);
        await refuse();
        await agent.at('/status/leader').refuse(500, 'No known Consul servers');
        assert.equal(portOf(await judged), 21_000);
        assert.match(adoption.problem!, /^the agent reaches no Consul server, which would know the token: /);
      });

    it('waits for the servers of an agent, for as long as it takes, where nothing was kept', async () => {
      const first = adoption.first();
      for (let i = 0; i < 60; i++) {
        await agent.at(PATH).refuse(403, 'Permission denied');
        await agent.at('/status/leader').answer(undefined, '""');
        await clock.settle(1_000);
      }
      await answer(agent.at(PATH), registered(21_000), 'a');
      assert.equal(portOf(await first), 21_000);
    });

    it('does not count where the agent says that there is none, nor that of another registration, nor what is none', async () => {
      await followed();
      adoption.close();
      for (const [wanted, kept] of [
        [{ proxy: 'other' }, undefined],
        [{ proxy: 'd1-sidecar-proxy' }, { Kind: '', ID: 'd1-sidecar-proxy' }],
        [{ proxy: 'd1-sidecar-proxy' }, [1]],
      ] as const) {
        if (kept !== undefined) stored.set('registration d1-sidecar-proxy', kept);
        agent = new ScriptedAgent(clock);
        remembering(wanted);
        const failed = assert.rejects(adoption.first({ agentLimitMs: 0 }), /unreachable/);
        await agent.one.break('unreachable');
        await failed;
      }
      stored.set('registration d1-sidecar-proxy', registered(21_000));
      agent = new ScriptedAgent(clock);
      remembering({ proxy: 'd1-sidecar-proxy' });
      const first = adoption.first();
      await agent.one.refuse(404, 'unknown service ID');
      assert.equal(adoption.isHeld, false, 'it is waited for');
      await clock.settle(1_000);
      await answer(agent.one, registered(21_005), 'a');
      assert.equal(portOf(await first), 21_005);
    });
  });

  describe('by the service', () => {
    const services = (...ids: string[]) =>
      Object.fromEntries(ids.map((id) => [id, { ...registered(1), ID: id }]));

    beforeEach(() => make({ sidecarFor: 'd1' }));

    it('is the one proxy of it', async () => {
      const first = adoption.first();
      await agent.at('/agent/services').answer(undefined, services('d1-sidecar-proxy'));
      await answer(agent.at(PATH), registered(21_000), 'a');
      assert.equal((await first).id, 'd1-sidecar-proxy');
    });

    it('fails with the names where there are several, and where there is none', async () => {
      for (const [ids, problem] of [
        [['a', 'b'], /several proxies of the service with the id "d1": a, b; expected one of these/],
        [[], /no proxy of the service with the id "d1"/],
      ] as const) {
        make({ sidecarFor: 'd1' });
        const failed = assert.rejects(adoption.first(), problem);
        for (let i = 0; i <= 30; i++) {
          await agent.one.answer(undefined, services(...ids));
          if (ids.length === 0) await agent.at('/status/leader').answer(undefined, '"127.0.0.1:8300"');
          await clock.settle(1_000);
        }
        await failed;
      }
    });
  });
});
