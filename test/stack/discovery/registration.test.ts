/** Registration with a real Consul agent. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RegistrationConfig } from '../../../sidecar/config/model.js';
import type { ServiceDefinition } from '../../../sidecar/discovery/consul/registration/definition.js';
import { Registration } from '../../../sidecar/discovery/consul/registration/registration.js';
import { ConsulServer, consulOrSkip } from '../../kit/consul/consul.js';
import type { ConsulOptions } from '../../kit/consul/consul-config.js';
import { type RealKit, realKit, tokenFor } from '../../kit/consul/real-agent.js';
import { consulConfig, LogLines, OCR, TestInstance } from '../../kit/consul/registration-kit.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { scratchForTest } from '../../kit/mocha/scratch.js';
import { until } from '../../kit/process/processes.js';
import { ManualClock } from '../../kit/time/manual-clock.js';

interface Entry {
  readonly Service: Pick<ServiceDefinition, 'ID' | 'Kind' | 'Meta' | 'Proxy'>;
  readonly Checks: readonly { readonly CheckID: string; readonly Status: string; readonly Output: string }[];
}

/** What one test registers: with its own agent client, instance and log. */
class Seat {
  readonly instance = new TestInstance();
  readonly log = new LogLines();
  readonly registration: Registration;
  /** Updates of checks that the agent has taken. */
  updates = 0;
  private readonly kit: RealKit;

  /** @param time default: the system's clock and timers. @param token default: the server's own. */
  constructor(
    consul: ConsulServer,
    settings: Partial<RegistrationConfig> = {},
    time?: ManualClock,
    token = consul.token,
  ) {
    this.kit = realKit(consul, { token, config: consulConfig(settings), logger: this.log.logger });
    const { agent, deps } = this.kit;
    const update = agent.updateCheck.bind(agent);
    agent.updateCheck = async (...args) => {
      const answer = await update(...args);
      this.updates += 1;
      return answer;
    };
    const times = time && { clock: time, timers: time };
    this.registration = new Registration(agent, { ...deps, ...times }, this.instance);
  }

  async registered(): Promise<void> {
    this.registration.start();
    await until('it is registered', () => this.registration.status().registered);
  }

  async end(): Promise<void> {
    await this.registration.deregister();
    this.kit.close();
  }
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
    const statuses = all.flatMap(({ Checks }) => Checks.map(({ Status }) => Status));
    return all.length > 0 && statuses.every((status) => status === 'passing') && all;
  };
  const passes = (server = consul) => until('it passes', () => passing('connect/digits', server));
  const ownServer = async (options: ConsulOptions = {}): Promise<ConsulServer> => {
    const own = await ConsulServer.start(options);
    afterTest(() => own.stop());
    return own;
  };
  const endAll = () => Promise.all(seats.splice(0).map((each) => each.end()));
  /** Registered, on a manual clock that goes on by 650 s, check by check; `between` is done before. */
  const pastRefreshes = async (between: () => Promise<unknown>): Promise<void> => {
    const clock = new ManualClock();
    const made = seat(consul, {}, clock);
    made.registration.start();
    await passes();
    // A check is registered as passing and without words; the update that brings them is a change.
    await until('both checks have their words', () => made.updates >= 2);
    await between();
    for (let i = 0; i < 65; i++) {
      const { updates } = made;
      clock.advance(10_000);
      await until('both checks are refreshed', () => made.updates >= updates + 2);
    }
  };

  it('a registration shows in Consul the instance, its sidecar, its upstreams, and checks with their outputs', async () => {
    const made = seat();
    made.instance.upstreams = [OCR];
    await made.registered();
    const [proxy] = await until('the proxy passes', () => passing('connect/digits'));
    assert.deepEqual([proxy!.Service.ID, proxy!.Service.Kind], ['digits-1-sidecar-proxy', 'connect-proxy']);
    const { DestinationServiceID, Upstreams } = proxy!.Service.Proxy!;
    const drawn = Upstreams.map(({ DestinationName }) => DestinationName);
    assert.deepEqual([DestinationServiceID, drawn], ['digits-1', ['ocr']]);
    const service = await until('the service passes with our words', async () => {
      const [entry] = await entries('service/digits');
      return entry?.Checks.some(({ Output }) => Output === 'the model answers') && entry;
    });
    assert.equal(service.Service.Meta['model-digits'], '1');
    const filter = encodeURIComponent('Service.Tags contains "model-digits"');
    const filtered = await entries(`connect/digits?filter=${filter}`);
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
    const indexOf = async (path: string) => (await consul.request('GET', path)).headers['x-consul-index'];
    const index = async () => [
      await indexOf('/health/connect/digits'),
      await indexOf('/health/service/digits'),
    ];
    let before: unknown;
    await pastRefreshes(async () => {
      type Checks = readonly { readonly CheckID: string; readonly Status: string; readonly Output: string }[];
      const told = (checks: Checks) =>
        checks.map(({ CheckID, Status, Output }) => `${CheckID} ${Status} ${Output}`).sort();
      await until('the catalogue has the checks as the agent has them', async () => {
        const own = Object.values(await consul.api<Record<string, Checks[number]>>('GET', '/agent/checks'));
        // An alias passes before it has seen a check, with "No checks found."; what it sees then is a change.
        const alias = own.find(({ CheckID }) => CheckID.endsWith(':service'));
        if (alias?.Output !== 'All checks passing.') return false;
        const all = await consul.api<Checks>('GET', '/health/state/any');
        const mirrored = all.filter(({ CheckID }) => own.some((check) => check.CheckID === CheckID));
        return JSON.stringify(told(own)) === JSON.stringify(told(mirrored));
      });
      before = await index();
    });
    assert.deepEqual(await index(), before);
  });

  it('a registration leaves the maintenance mode of an operator alone', async () => {
    await pastRefreshes(() =>
      consul.api('PUT', '/agent/service/maintenance/digits-1?enable=true&reason=disk'),
    );
    const checks = await consul.api<Record<string, unknown>>('GET', '/agent/checks');
    assert.ok(Object.hasOwn(checks, '_service_maintenance:digits-1'));
    await consul.api('PUT', '/agent/service/maintenance/digits-1?enable=false');
  });

  it('a registration leaves in order: critical for every watcher, then, after the wait, gone', async () => {
    const made = seat(consul, { propagationMs: 700 });
    const { registration } = made;
    await made.registered();
    await passes();
    const seen = watch(consul);
    await until('the watch has begun', () => seen.length > 0);
    await registration.leave();
    await registration.deregister();
    await until('it is gone', () => seen.at(-1)!.states === 'gone');
    const changes = seen.filter(({ states }, i) => states !== seen[i - 1]?.states);
    const states = changes.map((each) => each.states);
    assert.deepEqual(states, ['passing', 'critical', 'gone']);
    const [, critical, gone] = changes;
    assert.ok(gone!.atMs - critical!.atMs >= 600, `${gone!.atMs - critical!.atMs} ms`);
    assert.deepEqual(await entries('service/digits'), []);
  });

  it('a registration is back within 5 s of the return of an agent that has forgotten everything, once each', async () => {
    const own = await ownServer();
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
    await endAll();
  });

  it('a registration passes again within 5 s of the return of an agent that kept it, and is removed after the configured time', async () => {
    const data = scratchForTest().path;
    const own = await ownServer({ persistent: true, config: { data_dir: data } });
    await seat(own, { deregisterAfterMs: 120_000 }).registered();
    await passes(own);
    // The agent writes each file under a temporary name beside it first; its own name is a hash.
    const kept = readdirSync(join(data, 'checks'))
      .filter((name) => /^[0-9a-f]+$/.test(name))
      .map((name) => JSON.parse(readFileSync(join(data, 'checks', name), 'utf8')).ChkType);
    const times = kept.map(
      ({ CheckID, TTL, DeregisterCriticalServiceAfter: after }) => `${CheckID} ${TTL / 1e9} ${after / 1e9}`,
    );
    assert.deepEqual(times.sort(), [
      'digits-1-sidecar-proxy:health 30 120',
      'digits-1-sidecar-proxy:service 0 0',
      'digits-1:health 30 120',
    ]);
    await own.restart({ state: 'kept', awaitLeader: false });
    const returnedMs = performance.now();
    await until('both checks pass', async () => {
      type Checks = Record<string, { Status: string; Output: string }>;
      const checks = await own.api<Checks>('GET', '/agent/checks');
      const arePassing = Object.values(checks).every(({ Status }) => Status === 'passing');
      return arePassing && checks['digits-1:health']?.Output === 'the model answers';
    });
    assert.ok(performance.now() - returnedMs < 5_000, `${performance.now() - returnedMs} ms`);
    await endAll();
  });

  it('a registration with a token that may not register logs one line, retries, succeeds once it may, and never logs the token', async () => {
    const own = await ownServer({ acl: true });
    const token = await tokenFor(own, 'digits', 'node_prefix "" { policy = "read" }');
    const { log, registration } = seat(own, {}, undefined, token);
    registration.start();
    await until('it has been refused', () => log.lines.length > 0);
    assert.match(log.lines[0]!, /warn .*403 Permission denied: Missing service:write on digits/);
    const refusals = () => failuresOf(registration);
    const first = refusals();
    await until('it has tried again', () => refusals() > first + 1);
    assert.equal(log.lines.length, 1);
    const { ID } = await own.api<{ ID: string }>('GET', '/acl/policy/name/digits');
    const Rules = 'service_prefix "digits" { policy = "write" }';
    await own.api('PUT', `/acl/policy/${ID}`, { Name: 'digits', Rules });
    await until('it is registered', () => registration.status().registered, 60_000);
    const told = JSON.stringify([log.lines, registration.status(), registration.metrics()]);
    assert.ok(!told.includes(token));
    await endAll();
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
