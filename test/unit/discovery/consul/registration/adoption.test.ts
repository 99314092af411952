import assert from 'node:assert/strict';
import type { AdoptedProxy } from '../../../../../sidecar/config/model.js';
import {
  type AdoptConfig,
  ProxyAdoption,
} from '../../../../../sidecar/discovery/consul/registration/adoption.js';
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

  const make = (wanted: AdoptConfig) => {
    const deps = { clock, timers: clock, random: constant(0.5), logger: log.logger, waitMs: 300_000 };
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
    adoption.noteMoved('it has moved');
    adoption.noteMoved('it has moved');
    assert.deepEqual(adoption.notReady(), ['registration: it has moved']);
    assert.equal(log.lines.filter((line) => line.startsWith('error')).length, 1);
    adoption.noteMoved(undefined);
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
          await clock.settle(1_000);
        }
        await failed;
      }
    });
  });
});
