import assert from 'node:assert/strict';
import type { ConsulConfig } from '../../../../../sidecar/config/model.js';
import { AgentError } from '../../../../../sidecar/discovery/consul/client/response.js';
import { Registration } from '../../../../../sidecar/discovery/consul/registration/registration.js';
import { FakeAgent } from '../../../../kit/consul/registration-agent.js';
import { consulConfig, LogLines, OCR, TestInstance } from '../../../../kit/consul/registration-kit.js';
import { ManualClock } from '../../../../kit/time/manual-clock.js';
import { seeded } from '../../../../kit/time/seeded-random.js';

const SERVICE = 'digits-1:health';
const PROXY = 'digits-1-sidecar-proxy:health';
const DRAINING = [`${PROXY} critical draining`, `${SERVICE} critical draining`];
const BOTH = `deregister digits-1-sidecar-proxy\nderegister digits-1`;

describe('registration', () => {
  let clock: ManualClock;
  let agent: FakeAgent;
  let instance: TestInstance;
  let log: LogLines;
  let registration: Registration;

  beforeEach(() => {
    clock = new ManualClock();
    agent = new FakeAgent();
    instance = new TestInstance();
    log = new LogLines();
    registration = make();
  });

  afterEach(() => registration.close());

  function make(config: ConsulConfig = consulConfig()): Registration {
    const deps = { config, clock, timers: clock, random: seeded(1), logger: log.logger };
    return new Registration(agent, deps, instance);
  }

  async function started(): Promise<void> {
    registration.start();
    await clock.settle();
  }

  /** Registered, with a log of requests that begins here. */
  async function settledDown(): Promise<void> {
    await started();
    agent.log.length = 0;
  }

  async function change(what: Partial<TestInstance>): Promise<void> {
    Object.assign(instance, what);
    registration.changed();
    await clock.settle();
  }

  const fail = (why: string) => change({ answers: { ok: false, why } });
  const statusOf = (check: string) => agent.checks.get(check)!.status;
  const registrations = () => agent.log.filter((line) => line.startsWith('register')).length;

  it('a registration registers the service, then its sidecar, and sends both checks', async () => {
    await started();
    assert.deepEqual(agent.log, [
      'register digits-1 {}',
      'register digits-1-sidecar-proxy {}',
      `${SERVICE} passing the model answers`,
      'register digits-1 {}',
      `${PROXY} passing the sidecar can take calls`,
      'register digits-1-sidecar-proxy {}',
    ]);
    assert.deepEqual(registration.status(), { registered: true });
    assert.equal(log.lines.length, 1);
    assert.match(log.lines[0]!, /registered in Consul/);
  });

  it('a registration begins with the state of the moment, so that nothing flaps through critical', async () => {
    instance.answers = { ok: false, why: 'the model is starting' };
    await started();
    const initial = [...agent.checks.values()].map(
      ({ definition: { CheckID, Status } }) => `${CheckID} ${Status}`,
    );
    const alias = 'digits-1-sidecar-proxy:service';
    assert.deepEqual(initial, [`${SERVICE} critical`, `${PROXY} passing`, `${alias} critical`]);
    assert.equal(agent.checks.get(SERVICE)!.output, 'the model is starting');
  });

  it('a registration refreshes the checks every 10 s with the same output, and changes nothing else', async () => {
    await settledDown();
    await clock.settle(61_000);
    const told = agent.log.filter((line) => line.startsWith(SERVICE));
    assert.ok(told.length >= 5 && told.length <= 7, String(told.length));
    assert.equal(new Set(agent.log).size, 2);
  });

  it('a registration sends a transition at once, and the reason once', async () => {
    await settledDown();
    await fail('the model has not answered for 12 s');
    assert.deepEqual(agent.log, [`${SERVICE} critical the model has not answered for 12 s`]);
    await fail('the model has not answered for 14 s');
    await clock.settle(30_000);
    assert.deepEqual(new Set(agent.log.filter((line) => line.startsWith(SERVICE))).size, 1);
    await change({ answers: { ok: true, why: '' } });
    assert.equal(statusOf(SERVICE), 'passing');
  });

  it('one of several models that is not served is a warning in Consul, and no more', async () => {
    await settledDown();
    await change({ answers: { ok: true, why: 'not served: broken (model.onnx: no such graph)' } });
    assert.deepEqual(agent.log, [`${SERVICE} warning not served: broken (model.onnx: no such graph)`]);
    await change({ answers: { ok: true, why: '' } });
    assert.equal(agent.log.at(-1), `${SERVICE} passing the model answers`);
  });

  it('a new output of a check in the same state is passed on at once, which agents put off for minutes', async () => {
    instance.answers = { ok: false, why: 'the model is starting' };
    await settledDown();
    await fail('NOT_SERVING');
    assert.deepEqual(agent.log, [`${SERVICE} critical NOT_SERVING`, 'register digits-1 {}']);
  });

  it('a sidecar counts as critical at the second bad sample, and as passing at the first good one', async () => {
    await started();
    instance.reasons = ['identity: expired'];
    registration.changed();
    registration.changed();
    await clock.settle();
    assert.equal(statusOf(PROXY), 'passing');
    await clock.settle(2_000);
    const { status, output } = agent.checks.get(PROXY)!;
    assert.deepEqual([status, output], ['critical', 'identity: expired']);
    await change({ reasons: [] });
    assert.equal(statusOf(PROXY), 'passing');
  });

  it('a registration is back at once when the agent has forgotten everything, and only once', async () => {
    await settledDown();
    agent.forget();
    await clock.settle(2_000);
    assert.deepEqual([...agent.services.keys()], ['digits-1', 'digits-1-sidecar-proxy']);
    assert.equal(registrations(), 4);
    assert.equal(agent.checks.get(SERVICE)!.output, 'the model answers');
  });

  it('a registration is back within 3 s of the return of an agent that was away for an hour', async () => {
    await started();
    agent.fault = new AgentError('unreachable', 'http://127.0.0.1:8500: ECONNREFUSED');
    agent.forget();
    const before = agent.requests;
    await clock.settle(3_600_000);
    assert.ok(agent.requests - before < 3_600, String(agent.requests - before));
    assert.equal(registration.status().registered, false);
    agent.fault = undefined;
    await clock.settle(3_000);
    assert.equal(agent.services.size, 2);
    const [, lost, back] = log.lines;
    assert.match(lost!, /does not work; trying again.*ECONNREFUSED/);
    assert.match(back!, /registered in Consul/);
    assert.equal(log.lines.length, 3);
  });

  it('a registration registers again when the refresh finds the check unknown, without a held read', async () => {
    await started();
    agent.services.clear();
    agent.checks.clear();
    await clock.settle(10_100);
    assert.equal(agent.services.size, 2);
  });

  it('a registration restores within 15 s what an operator took away: one check, one service', async () => {
    await started();
    agent.checks.delete(PROXY);
    await clock.settle(15_000);
    assert.equal(statusOf(PROXY), 'passing');
    agent.meddle('digits-1-sidecar-proxy');
    await clock.settle(1_000);
    assert.ok(agent.services.has('digits-1-sidecar-proxy'));
  });

  it('a registration reports once that another process uses its id, and stops overwriting it', async () => {
    await started();
    const theirs = () => ({ ...agent.services.get('digits-1-sidecar-proxy')!, Port: 9999 });
    for (let i = 0; i < 100; i++) {
      agent.meddle('digits-1-sidecar-proxy', theirs());
      await clock.settle(1_000);
    }
    assert.ok(registrations() < 12, String(registrations()));
    assert.equal(log.lines.filter((line) => /another process registers/.test(line)).length, 1);
    assert.match(registration.status().problem!, /another process/);
  });

  it('a registration follows a change of the instance, at once when notified of it', async () => {
    await started();
    await change({ models: [{ name: 'digits', version: '2' }] });
    assert.equal(agent.services.get('digits-1')!.Meta['model-digits'], '2');
    instance.upstreams = [OCR];
    await clock.settle(18_000);
    assert.equal(agent.services.get('digits-1-sidecar-proxy')!.Proxy!.Upstreams.length, 1);
  });

  it('a registration registers every ten minutes in any case, for the sake of the token that the agent keeps', async () => {
    await started();
    await clock.settle(620_000);
    assert.equal(registrations(), 6);
  });

  it('a registration that is refused logs that once, retries with growing waits, and succeeds once it is granted', async () => {
    agent.fault = new AgentError('status', '403 Permission denied: Missing service:write on digits', 403);
    await started();
    await clock.settle(600_000);
    assert.equal(log.lines.length, 1);
    assert.match(log.lines[0]!, /403 Permission denied: Missing service:write on digits/);
    assert.ok(agent.requests > 20 && agent.requests < 60, String(agent.requests));
    agent.fault = undefined;
    await clock.settle(30_000);
    assert.deepEqual(registration.status(), { registered: true });
  });

  for (const garbage of ['', 'null', '[]', '{', '{"digits-1": 5}', '{"digits-1":{"Tags":7,"Meta":8}}']) {
    it(`a registration survives ${JSON.stringify(garbage)} for a list`, async () => {
      agent.garbage = garbage;
      await started();
      await clock.settle(10_000);
      agent.garbage = undefined;
      await clock.settle(60_000);
      assert.deepEqual(registration.status(), { registered: true });
      assert.equal(agent.services.size, 2);
    });
  }

  it('a registration leaves in order: critical, a wait for peers, deregistered', async () => {
    await settledDown();
    let isDone = false;
    void registration.leave().then(() => (isDone = true));
    await clock.settle(1_999);
    assert.deepEqual([agent.log, isDone], [DRAINING, false]);
    await clock.settle(1);
    assert.equal(isDone, true);
    await clock.settle(20_000);
    assert.deepEqual(new Set(agent.log).size, 2, 'still critical while calls finish');
    agent.log.length = 0;
    await registration.deregister();
    assert.equal(agent.log.join('\n'), BOTH);
    await clock.settle(60_000);
    assert.equal(agent.log.join('\n'), BOTH);
    assert.equal(clock.pending(), 0);
  });

  it('a registration without inbound calls leaves without a wait', async () => {
    Object.assign(instance, { inbound: undefined, upstreams: [OCR] });
    await settledDown();
    await registration.leave();
    assert.deepEqual(agent.log, DRAINING);
  });

  it('a registration does not come back while it leaves', async () => {
    await started();
    await Promise.all([registration.leave(), clock.settle(2_000)]);
    agent.forget();
    await clock.settle(60_000);
    assert.equal(agent.services.size, 0);
    await registration.deregister();
    assert.equal(log.lines.filter((line) => /not deregistered/.test(line)).length, 0);
  });

  it('a registration that ends does not wait for an agent that is away, and logs that', async () => {
    await started();
    agent.fault = new AgentError('unreachable', 'ECONNREFUSED');
    await registration.leave();
    await registration.deregister();
    const lines = log.lines.slice(1).map((line) => line.split(' {')[0]);
    assert.deepEqual(lines, [
      'warn Consul could not be told of the drain',
      'warn not deregistered; Consul does it once its checks were critical for long enough',
    ]);
  });

  it('a registration has nothing to take back when it never registered', async () => {
    await registration.leave();
    await registration.deregister();
    assert.equal(agent.requests, 0);
  });

  it('a registration leaves no timer and no held read behind when closed', async () => {
    await started();
    registration.close();
    await clock.settle();
    assert.equal(clock.pending(), 0);
    await clock.settle(60_000);
    assert.equal(registrations(), 4);
  });

  it('a registration refuses to be made without settings', () => {
    const { registration: _, ...config } = consulConfig();
    assert.throws(() => make(config), /consul.registration: missing/);
  });

  it('a registration has metrics', async () => {
    await started();
    const values = registration.metrics().map(({ name, samples }) => {
      const each = samples.map((sample) => ('value' in sample ? sample.value : sample));
      return `${name} ${each.join(' ')}`;
    });
    assert.deepEqual(values, [
      'outrider_consul_registered 1',
      'outrider_consul_registrations_total 4',
      'outrider_consul_registration_failures_total 0',
      'outrider_consul_check_passing 1 1',
    ]);
  });
});
