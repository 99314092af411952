/** Registration with a real Consul agent. */

import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RegistrationConfig } from '../../../sidecar/config/model.js';
import { ConsulAgent } from '../../../sidecar/discovery/consul/client/client.js';
import { agentSettings } from '../../../sidecar/discovery/consul/client/settings.js';
import { Registration } from '../../../sidecar/discovery/consul/registration/registration.js';
import { seeded } from '../../../sidecar/runtime/random.js';
import type { Clock } from '../../../sidecar/runtime/time/clock.js';
import { systemClock } from '../../../sidecar/runtime/time/clock.js';
import { systemTimers, type Timers } from '../../../sidecar/runtime/time/timers.js';
import { ConsulServer, consulOrSkip } from '../../kit/consul/consul.js';
import { consulConfig, LogLines, TestInstance } from '../../kit/consul/registration-kit.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { until } from '../../kit/process/processes.js';
import { ManualClock } from '../../kit/time/manual-clock.js';

interface Entry {
  readonly Node: { readonly Address: string };
  readonly Service: {
    readonly ID: string;
    readonly Kind?: string;
    readonly Address: string;
    readonly Port: number;
    readonly Tags: readonly string[];
    readonly Meta: Readonly<Record<string, string>>;
    readonly Proxy?: {
      readonly DestinationServiceName: string;
      readonly DestinationServiceID: string;
      readonly Upstreams: readonly { readonly DestinationName: string }[];
    };
  };
  readonly Checks: readonly { readonly CheckID: string; readonly Status: string; readonly Output: string }[];
}

/** What one test registers: with its own agent client, instance and log. */
class Seat {
  readonly instance = new TestInstance();
  readonly log = new LogLines();
  readonly agent: ConsulAgent;
  readonly registration: Registration;
  /** Updates of checks that the agent has taken. */
  updates = 0;

  constructor(
    consul: ConsulServer,
    settings: Partial<RegistrationConfig> = {},
    time: Clock & Timers = Object.assign({}, systemClock, systemTimersOf()),
    token = consul.token,
  ) {
    const config = { ...consulConfig(settings), address: consul.url };
    this.agent = new ConsulAgent(
      agentSettings(config, token === undefined ? {} : { CONSUL_HTTP_TOKEN: token }),
      systemTimers,
    );
    const { agent } = this;
    const counting = {
      get: agent.get.bind(agent),
      put: agent.put.bind(agent),
      deregisterService: agent.deregisterService.bind(agent),
      updateCheck: async (...args: Parameters<ConsulAgent['updateCheck']>) => {
        const answer = await agent.updateCheck(...args);
        this.updates += 1;
        return answer;
      },
    };
    const deps = { config, clock: time, timers: time, random: seeded(7), logger: this.log.logger };
    this.registration = new Registration(counting, deps, this.instance);
  }

  async registered(): Promise<void> {
    this.registration.start();
    await until('it is registered', () => this.registration.status().registered);
  }

  async end(): Promise<void> {
    await this.registration.deregister();
    this.agent.close();
  }
}

function systemTimersOf(): Timers {
  return { after: systemTimers.after.bind(systemTimers), every: systemTimers.every.bind(systemTimers) };
}

const statusesOf = (entry: Entry | undefined): Record<string, string> =>
  Object.fromEntries((entry?.Checks ?? []).map(({ CheckID, Status }) => [CheckID, Status]));

describe('registration with a real Consul', () => {
  let consul: ConsulServer;
  const seats: Seat[] = [];

  before(async function () {
    await consulOrSkip(this);
    consul = await ConsulServer.start();
  });

  afterEach(async () => {
    for (const seat of seats.splice(0)) await seat.end();
  });

  after(() => consul?.stop());

  function seat(...args: ConstructorParameters<typeof Seat> | []): Seat {
    const [server = consul, settings, time, token] = args;
    const made = new Seat(server, settings, time, token);
    seats.push(made);
    return made;
  }

  const entries = (path: string, server = consul) => server.api<Entry[]>('GET', `/health/${path}`);
  const passing = async (path: string, server = consul) => {
    const all = await entries(path, server);
    const isGood =
      all.length > 0 && all.every(({ Checks }) => Checks.every(({ Status }) => Status === 'passing'));
    return isGood && all;
  };

  it('a registration shows in Consul the instance, its sidecar, its upstreams, and checks with their outputs', async () => {
    const made = seat();
    const { instance } = made;
    instance.upstreams = [
      { name: 'ocr', service: 'ocr', listen: { kind: 'tcp', host: '127.0.0.1', port: 9001 } },
    ];
    await made.registered();
    const [proxy] = await until('the proxy passes', () => passing('connect/digits'));
    assert.deepEqual([proxy!.Service.ID, proxy!.Service.Kind], ['digits-1-sidecar-proxy', 'connect-proxy']);
    assert.equal(proxy!.Service.Proxy!.DestinationServiceID, 'digits-1');
    assert.deepEqual(
      proxy!.Service.Proxy!.Upstreams.map(({ DestinationName }) => DestinationName),
      ['ocr'],
    );
    const service = await until('the service passes with our words', async () => {
      const [entry] = await entries('service/digits');
      return entry?.Checks.some(({ Output }) => Output === 'the model answers') && entry;
    });
    assert.equal(service.Service.Meta['model-digits'], '1');
    const filtered = await entries(
      `connect/digits?filter=${encodeURIComponent('Service.Tags contains "model-digits"')}`,
    );
    assert.equal(filtered.length, 1);
  });

  it('a registration shows on the service and on the proxy why the model does not answer', async () => {
    const made = seat();
    const { instance, registration } = made;
    await made.registered();
    instance.answers = { ok: false, why: 'golden output differs: probabilities[3] is 0.91, expected 0.02' };
    registration.changed();
    const [proxy] = await until('the alias follows', async () => {
      const all = await entries('connect/digits');
      return statusesOf(all[0])['digits-1-sidecar-proxy:service'] === 'critical' && all;
    });
    assert.equal(statusesOf(proxy)['digits-1-sidecar-proxy:health'], 'passing');
    const alias = proxy!.Checks.find(({ CheckID }) => CheckID.endsWith(':service'))!;
    assert.match(alias.Output, /"model".*golden output differs: probabilities\[3\] is 0\.91/);
    instance.answers = { ok: true, why: '' };
    registration.changed();
    await until('it passes again', () => passing('connect/digits'));
  });

  it('a registration that does not change ends no blocking query: refreshes, comparisons and renewals leave the index alone', async () => {
    const clock = new ManualClock();
    const made = seat(consul, {}, clock);
    made.registration.start();
    await until('it passes', () => passing('connect/digits'));
    const index = async () =>
      [
        await consul.request('GET', '/health/connect/digits'),
        await consul.request('GET', '/health/service/digits'),
      ].map(({ headers }) => headers['x-consul-index']);
    await until('the agent is in step', async () => {
      const first = await index();
      await new Promise((resolve) => setTimeout(resolve, 200));
      return JSON.stringify(first) === JSON.stringify(await index());
    });
    const before = await index();
    for (let i = 0; i < 65; i++) {
      const { updates } = made;
      clock.advance(10_000);
      await until('both checks are refreshed', () => made.updates >= updates + 2);
    }
    assert.deepEqual(await index(), before);
  });

  it('a registration leaves the maintenance mode of an operator alone', async () => {
    const clock = new ManualClock();
    const made = seat(consul, {}, clock);
    made.registration.start();
    await until('it passes', () => passing('connect/digits'));
    await consul.api('PUT', '/agent/service/maintenance/digits-1?enable=true&reason=disk');
    for (let i = 0; i < 65; i++) {
      const { updates } = made;
      clock.advance(10_000);
      await until('both checks are refreshed', () => made.updates >= updates + 2);
    }
    const checks = await consul.api<Record<string, unknown>>('GET', '/agent/checks');
    assert.ok(Object.hasOwn(checks, '_service_maintenance:digits-1'));
    await consul.api('PUT', '/agent/service/maintenance/digits-1?enable=false');
  });

  it('a registration leaves in order: critical for every watcher, then, after the wait, gone', async () => {
    const made = seat(consul, { propagationMs: 700 });
    const { registration } = made;
    await made.registered();
    await until('it passes', () => passing('connect/digits'));
    const seen = watch(consul);
    await until('the watch has begun', () => seen.length > 0);
    await registration.leave();
    await registration.deregister();
    await until('it is gone', () => seen.at(-1)!.states === 'gone');
    assert.deepEqual(
      seen.map(({ states }) => states).filter((states, i, all) => states !== all[i - 1]),
      ['passing', 'critical', 'gone'],
    );
    const critical = seen.find(({ states }) => states === 'critical')!;
    const gone = seen.find(({ states }) => states === 'gone')!;
    assert.ok(gone.atMs - critical.atMs >= 600, `${gone.atMs - critical.atMs} ms`);
    assert.deepEqual(await entries('service/digits'), []);
  });

  it('a registration is back within 5 s of the return of an agent that has forgotten everything, once each', async () => {
    const own = await ConsulServer.start();
    afterTest(() => own.stop());
    const made = seat(own);
    await made.registered();
    await own.restart({ state: 'empty', awaitLeader: false });
    const returnedMs = performance.now();
    await until('it is registered again', async () => {
      const services = await own.api<Record<string, unknown>>('GET', '/agent/services');
      return Object.keys(services).length === 2;
    });
    assert.ok(performance.now() - returnedMs < 5_000, `${performance.now() - returnedMs} ms`);
    await own.ready();
    await until('the catalogue has it', () => passing('connect/digits', own));
    for (const path of ['service/digits', 'service/digits-sidecar-proxy', 'connect/digits'])
      assert.equal((await entries(path, own)).length, 1, path);
    await Promise.all(seats.splice(0).map((each) => each.end()));
  });

  it('a registration passes again within 5 s of the return of an agent that kept it, and is removed after the configured time', async () => {
    const data = mkdtempSync(join(tmpdir(), 'outrider-test-'));
    const own = await ConsulServer.start({ persistent: true, config: { data_dir: data } });
    afterTest(() => rmSync(data, { recursive: true, force: true }));
    afterTest(() => own.stop());
    const made = seat(own, { deregisterAfterMs: 120_000 });
    await made.registered();
    await until('it passes', () => passing('connect/digits', own));
    // The agent writes each file under a temporary name beside it first; its own name is a hash.
    const kept = readdirSync(join(data, 'checks'))
      .filter((name) => /^[0-9a-f]+$/.test(name))
      .map((name) => JSON.parse(readFileSync(join(data, 'checks', name), 'utf8')).ChkType);
    const after = kept.map((check) => [
      check.CheckID,
      check.TTL / 1e9,
      check.DeregisterCriticalServiceAfter / 1e9,
    ]);
    assert.deepEqual(after.sort(), [
      ['digits-1-sidecar-proxy:health', 30, 120],
      ['digits-1-sidecar-proxy:service', 0, 0],
      ['digits-1:health', 30, 120],
    ]);
    await own.restart({ state: 'kept', awaitLeader: false });
    const returnedMs = performance.now();
    await until('both checks pass', async () => {
      const checks = await own.api<Record<string, { Status: string; Output: string }>>(
        'GET',
        '/agent/checks',
      );
      return (
        checks['digits-1:health']?.Output === 'the model answers' &&
        Object.values(checks).every(({ Status }) => Status === 'passing')
      );
    });
    assert.ok(performance.now() - returnedMs < 5_000, `${performance.now() - returnedMs} ms`);
    await Promise.all(seats.splice(0).map((each) => each.end()));
  });

  it('a registration with a token that may not register logs one line, retries, succeeds once it may, and never logs the token', async () => {
    const own = await ConsulServer.start({ acl: true });
    afterTest(() => own.stop());
    const rules = (text: string) => ({ Name: 'digits', Rules: text });
    const policy = await own.api<{ ID: string }>(
      'PUT',
      '/acl/policy',
      rules('node_prefix "" { policy = "read" }'),
    );
    const granted = await own.api<{ SecretID: string }>('PUT', '/acl/token', {
      Policies: [{ ID: policy.ID }],
    });
    const token = granted.SecretID;
    const { log, registration } = seat(own, {}, undefined, token);
    registration.start();
    await until('it has been refused', () => log.lines.length > 0);
    assert.match(log.lines[0]!, /warn .*403 Permission denied: Missing service:write on digits/);
    const refusals = () => failuresOf(registration);
    const first = refusals();
    await until('it has tried again', () => refusals() > first + 1);
    assert.equal(log.lines.length, 1);
    await own.api('PUT', `/acl/policy/${policy.ID}`, rules('service_prefix "digits" { policy = "write" }'));
    await until('it is registered', () => registration.status().registered, 60_000);
    const told = JSON.stringify([log.lines, registration.status(), registration.metrics()]);
    assert.ok(!told.includes(token));
    await Promise.all(seats.splice(0).map((each) => each.end()));
    assert.deepEqual(await own.api('GET', '/catalog/service/digits'), []);
  });

  function failuresOf(registration: Registration): number {
    const family = registration.metrics().find(({ name }) => name.endsWith('registration_failures_total'))!;
    return family.kind === 'counter' ? family.samples[0]!.value : 0;
  }
});

/** What every watcher of the service sees, as it happens. */
function watch(consul: ConsulServer): { states: string; atMs: number }[] {
  const seen: { states: string; atMs: number }[] = [];
  const read = async (index: string): Promise<void> => {
    const reply = await consul.request('GET', `/health/connect/digits?index=${index}&wait=10s`);
    const [entry] = JSON.parse(reply.body) as Entry[];
    const own = (entry?.Checks ?? []).filter(({ CheckID }) => CheckID.endsWith('-sidecar-proxy:health'));
    seen.push({ states: own[0]?.Status ?? 'gone', atMs: performance.now() });
    if (own.length > 0) await read(String(reply.headers['x-consul-index']));
  };
  read('0').catch(() => {});
  return seen;
}
