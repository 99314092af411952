import assert from 'node:assert/strict';
import { AgentError } from '../../../../../sidecar/discovery/consul/client/response.js';
import {
  AdoptedRegistration,
  ttlChecksIn,
} from '../../../../../sidecar/discovery/consul/registration/adopted-registration.js';
import type {
  CheckDefinition,
  ServiceDefinition,
} from '../../../../../sidecar/discovery/consul/registration/definition.js';
import { FakeAgent } from '../../../../kit/consul/registration-agent.js';
import { consulConfig, LogLines, TestInstance } from '../../../../kit/consul/registration-kit.js';
import { ManualClock } from '../../../../kit/time/manual-clock.js';
import { seeded } from '../../../../kit/time/seeded-random.js';

const ID = 'd1-sidecar-proxy';
const TTL: CheckDefinition = { CheckID: 'alive', Name: 'alive', Status: 'critical', TTL: '10s' };
const TCP: CheckDefinition = { CheckID: 'port', Name: 'port', Status: 'critical' };

/** The proxy as something else has registered it. */
const proxyWith = (Checks: CheckDefinition[]): ServiceDefinition => ({
  ID,
  Name: 'digits-sidecar-proxy',
  Kind: 'connect-proxy',
  Port: 21_000,
  Tags: [],
  Meta: {},
  Weights: { Passing: 1, Warning: 1 },
  Checks,
});

describe('an adopted registration', () => {
  let clock: ManualClock;
  let agent: FakeAgent;
  let instance: TestInstance;
  let log: LogLines;
  let adopted: AdoptedRegistration;
  const adoption = {
    proxy: { id: ID } as never,
    isHeld: true,
    problem: undefined as string | undefined,
  };

  beforeEach(() => {
    clock = new ManualClock();
    agent = new FakeAgent();
    instance = new TestInstance();
    log = new LogLines();
    adoption.problem = undefined;
    const deps = { config: consulConfig(), clock, timers: clock, random: seeded(1), logger: log.logger };
    adopted = new AdoptedRegistration(agent, deps, instance, adoption);
  });

  afterEach(() => adopted.close());

  /** Registered by something else with these checks, adopted, and with a log that begins here. */
  async function started(...checks: CheckDefinition[]): Promise<void> {
    await agent.put('/agent/service/register', {}, proxyWith(checks));
    agent.log.length = 0;
    adopted.start();
    await clock.settle();
  }

  it('keeps TTL checks passing, and leaves checks of other kinds alone', async () => {
    await started(TTL, TCP);
    assert.deepEqual(agent.log, ['alive passing the model answers']);
    agent.log.length = 0;
    for (let i = 0; i < 10; i++) await clock.settle(2_000);
    assert.ok(agent.log.length >= 5, agent.log.join('\n'));
    assert.deepEqual([...new Set(agent.log)], ['alive passing the model answers']);
    assert.equal(agent.checks.get('port')!.status, 'critical');
  });

  it('says critical with the reason while the model does not answer, or the sidecar cannot serve', async () => {
    await started(TTL);
    instance.answers = { ok: false, why: 'the model is loading' };
    adopted.changed();
    await clock.settle();
    assert.equal(agent.log.at(-1), 'alive critical the model is loading');
    instance.answers = { ok: true, why: '' };
    instance.reasons = ['identity: expired'];
    for (let i = 0; i < 5; i++) await clock.settle(2_000);
    assert.equal(agent.log.at(-1), 'alive critical identity: expired');
  });

  it('never registers or deregisters anything', async () => {
    await started(TTL);
    agent.meddle(ID);
    agent.checks.clear();
    for (let i = 0; i < 20; i++) await clock.settle(2_000);
    await adopted.leave();
    await adopted.deregister();
    assert.deepEqual(
      agent.log.filter((line) => /register/.test(line)),
      [],
    );
  });

  it('finds a check that is added later, and forgets one that is gone', async () => {
    await started(TTL);
    await agent.put('/agent/service/register', {}, proxyWith([TTL, { ...TTL, CheckID: 'second' }]));
    for (let i = 0; i < 9; i++) await clock.settle(2_000);
    assert.equal(agent.checks.get('second')!.status, 'passing');
    agent.checks.delete('alive');
    agent.log.length = 0;
    for (let i = 0; i < 9; i++) await clock.settle(2_000);
    assert.ok(agent.log.filter((line) => line.startsWith('alive')).length <= 1, agent.log.join('\n'));
    assert.equal(adopted.status().problem, undefined);
  });

  it('a drain says critical and gives peers two seconds; without TTL checks it does not wait', async () => {
    await started(TTL);
    const fromMs = clock.now();
    const left = adopted.leave().then(() => clock.now() - fromMs);
    await clock.settle();
    assert.equal(agent.log.at(-1), 'alive critical draining');
    await clock.settle(2_000);
    assert.equal(await left, 2_000);
    agent.checks.delete('alive');
    const none = new AdoptedRegistration(
      agent,
      { config: consulConfig(), clock, timers: clock, random: seeded(1), logger: log.logger },
      instance,
      adoption,
    );
    none.start();
    await clock.settle();
    await none.leave();
    none.close();
  });

  it('an agent that is away is asked again, said once, and told once it is back', async () => {
    await started(TTL);
    agent.fault = new AgentError('unreachable', 'connection refused');
    for (let i = 0; i < 10; i++) await clock.settle(2_000);
    assert.equal(adopted.status().problem, 'connection refused');
    assert.equal(log.lines.length, 1);
    agent.fault = undefined;
    agent.log.length = 0;
    for (let i = 0; i < 3; i++) await clock.settle(2_000);
    assert.deepEqual([...new Set(agent.log)], ['alive passing the model answers']);
    assert.equal(adopted.status().problem, undefined);
  });

  it('reports what the adoption says, and its checks in metrics', async () => {
    await started(TTL);
    adoption.problem = 'it is gone';
    assert.deepEqual(adopted.status(), { registered: true, problem: 'it is gone' });
    const passing = adopted.metrics().find(({ name }) => name === 'outrider_consul_check_passing');
    assert.deepEqual(passing?.samples, [{ labels: { check: 'alive' }, value: 1 }]);
  });

  it('an answer that is no list of checks is a problem', () => {
    assert.throws(() => ttlChecksIn(Buffer.from('[]')), /is not an object/);
    assert.throws(() => ttlChecksIn(Buffer.from('x')), /is not JSON/);
    assert.deepEqual([...ttlChecksIn(Buffer.from('{"a":null,"b":{"Type":"tcp"}}'))], []);
  });
});
