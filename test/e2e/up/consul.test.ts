/** `outrider up` on Consul: with an agent of its own, and with one that was there before. */

import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import { meshFile } from '../../kit/config/mesh-file.js';
import { ConsulServer, consulOrSkip } from '../../kit/consul/consul.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { Prometheus } from '../../kit/observe/prometheus.js';
import {
  DIGITS_MODELS,
  Mesh,
  type Outcome,
  outputOf,
  outrider,
  REPOSITORY,
  Scratch,
  startOutrider,
  type UpFacts,
} from '../../kit/process/outrider.js';
import { isRunning, until } from '../../kit/process/processes.js';
import { inferSeven, SEVEN } from '../../kit/process/suite-mesh.js';
import { toolOrSkip } from '../../kit/process/tools.js';
import { codeOfDigit } from '../../kit/service/model-load.js';
import { TestClient } from '../../kit/service/model-server.js';

type Facts = UpFacts & {
  readonly consul: { readonly address: string; readonly ui?: string; readonly pid?: number };
};

interface Check {
  readonly CheckID: string;
  readonly ServiceID: string;
  readonly Status: string;
  readonly Output: string;
}

async function ask<T>(url: string, path: string): Promise<T> {
  const response = await fetch(`${url}/v1${path}`, { signal: AbortSignal.timeout(5_000) });
  return (await response.json()) as T;
}

const services = async (url: string) => Object.keys(await ask<object>(url, '/agent/services')).sort();
const checks = async (url: string) => Object.values(await ask<Record<string, Check>>(url, '/agent/checks'));

function infer(facts: Facts): Promise<Outcome> {
  return inferSeven(facts.call['digits']!, '--deadline', '5s');
}

/** A client of the digits until the end of the running test. */
function clientOf(facts: Facts): TestClient {
  const client = new TestClient(facts.call['digits']!);
  afterTest(() => client.close());
  return client;
}

const isAnswered = (client: TestClient) =>
  until('the call is answered', async () => (await codeOfDigit(client)) === 0);
const isRefused = (client: TestClient) =>
  until('the call is refused', async () => (await codeOfDigit(client)) === status.PERMISSION_DENIED);

/** Until the end of the running test. */
function start(file: string, ...more: readonly string[]): Mesh {
  const mesh = Mesh.start(file, more);
  afterTest(() => mesh.discard());
  return mesh;
}

describe('models that cannot be served, on Consul', function () {
  this.timeout(90_000);
  let scratch: Scratch;
  let mesh: Mesh;
  let facts: Facts;

  before(async function () {
    await consulOrSkip(this);
    scratch = new Scratch();
    const broken = (folder: string): string => {
      const models = join(scratch.path, folder);
      cpSync(join(DIGITS_MODELS, 'digits'), join(models, 'broken'), { recursive: true });
      writeFileSync(join(models, 'broken/1/model.onnx'), 'not a model');
      return models;
    };
    const mine = broken('mine');
    cpSync(DIGITS_MODELS, mine, { recursive: true });
    mesh = Mesh.start(
      `
services: { digits: { models: ${mine} }, dead: { models: ${broken('dead')} } }
caller:
  name: client
  admin: 127.0.0.1:0
  upstreams: { digits: { listen: 127.0.0.1:0 }, dead: { listen: 127.0.0.1:0 } }
intentions: [{ from: client, to: '*', action: allow }]
`,
      ['--consul', 'dev'],
    );
    facts = (await mesh.ready()) as Facts;
  });
  after(async () => {
    await mesh?.discard();
    scratch?.remove();
  });

  it('are a warning beside others that are, which names them, and critical alone', async () => {
    const is = (id: string, status: string, words: RegExp) =>
      until(`${id} is ${status}`, async () => {
        const check = (await checks(facts.consul.address)).find(({ CheckID }) => CheckID === id);
        return check?.Status === status && words.test(check.Output);
      });
    await is('digits-1:health', 'warning', /^not served: broken \(.*sha256/);
    await is('digits-1-sidecar-proxy:service', 'warning', /./);
    await is('dead-1:health', 'critical', /sha256/);
  });

  it('do not keep the mesh from serving the others', async () => {
    await isAnswered(clientOf(facts));
    assert.match((await infer(facts)).stdout, /^7 /);
    const target = facts.call['dead']!;
    const refused = await outrider(['infer', 'broken', '--input', `@${SEVEN}`, '--target', target]);
    assert.match(refused.stderr, /UNAVAILABLE/);
  });

  it('end with the agent that `up` started, when that is killed', async () => {
    mesh.signal('SIGKILL');
    await mesh.outcome;
    await until('everything is gone', () => !isRunning(facts.consul.pid!) && mesh.processes().length === 0);
  });
});

/**
 * The configuration of the documents, and beside it what `consul_sd_configs` would find: Debian's Prometheus is built without
 * that part. `.ci/nightly` runs the file as it stands, with a Prometheus that has it.
 */
async function asFoundInConsul(url: string): Promise<[config: string, files: Record<string, string>]> {
  type Service = { ID: string; Service: string; Address: string; Port: number; Meta: Record<string, string> };
  const all = Object.values(await ask<Record<string, Service>>(url, '/agent/services'));
  const groups = all.map(({ ID, Service: name, Address, Port, Meta }) => {
    const meta = Object.entries(Meta).map(([key, value]) => [
      `__meta_consul_service_metadata_${key.replaceAll(/[^A-Za-z0-9_]/g, '_')}`,
      value,
    ]);
    const labels = { __meta_consul_service: name, __meta_consul_service_id: ID, ...Object.fromEntries(meta) };
    return { targets: [`${Address || '127.0.0.1'}:${Port}`], labels };
  });
  const config = readFileSync(join(REPOSITORY, 'mesh-config/observe/prometheus-consul.yml'), 'utf8')
    .replace(/consul_sd_configs:\n.*\n/, 'file_sd_configs: [{ files: [found.json] }]\n')
    .replaceAll(': 15s', ': 1s')
    .replace(/rule_files:\n.*\n/, '');
  return [config, { 'found.json': JSON.stringify(groups) }];
}

describe('outrider up --consul dev', function () {
  this.timeout(90_000);
  let mesh: Mesh;
  let facts: Facts;

  before(async function () {
    await consulOrSkip(this);
    const more = 'observe: 127.0.0.1:0\n';
    mesh = Mesh.start(meshFile({ replicas: 2, attemptTimeout: '4s', more }), ['--consul', 'dev']);
    facts = (await mesh.ready()) as Facts;
  });

  after(() => mesh?.discard());

  const life = () =>
    mesh.events.flatMap(({ event, process }) =>
      event === 'consul' ? [(process as { state: string }).state] : [],
    );
  const sevens = async () => {
    const answer = await infer(facts);
    assert.equal(answer.stderr, '');
    assert.match(answer.stdout, /^7 /);
  };

  it('says where Consul is, with its UI', async () => {
    const { address, ui, pid } = facts.consul;
    assert.match(address, /^http:\/\/127\.0\.0\.1:\d+$/);
    assert.equal(ui, `${address}/ui/`);
    assert.ok(isRunning(pid!));
    assert.equal((await fetch(ui)).status, 200);
  });

  it('registers every replica beside its sidecar, and the caller, all of them passing', async () => {
    const { address } = facts.consul;
    const names = ['client', 'digits-1', 'digits-2'];
    const expected = names.flatMap((name) => [name, `${name}-sidecar-proxy`]);
    await until('all have registered', async () => {
      const found = await services(address);
      return expected.every((id) => found.includes(id)) && found.length === expected.length;
    });
    await until('all checks pass', async () => {
      const found = await checks(address);
      return found.length >= expected.length && found.every(({ Status }) => Status === 'passing');
    });
  });

  it('registers where metrics are, from which the relabelling of the documents makes targets of Prometheus', async function () {
    const program = await toolOrSkip(this, 'prometheus');
    const prometheus = await Prometheus.start(program, ...(await asFoundInConsul(facts.consul.address)));
    afterTest(() => prometheus.discard());
    const expected = facts.sidecars.map(({ name, observe }) => `${name} http://${observe}/metrics up`);
    await until('every sidecar is scraped, once', async () => {
      const targets = (await prometheus.targets()).map(({ labels, scrapeUrl, health }) =>
        [labels['instance'], scrapeUrl, health].join(' '),
      );
      return targets.sort().join() === expected.sort().join();
    });
    assert.equal(
      (await prometheus.query('count by (instance) (outrider_info)')).length,
      facts.sidecars.length,
    );
  });

  it('reads a handwritten seven through sidecars that found each other in Consul', sevens);

  it('is shown by `outrider page` from the catalogue and the metrics, without a way to drain it', async () => {
    const { address } = facts.consul;
    const server = startOutrider(['page', '--consul', address, '--listen', '127.0.0.1:0', '--json']);
    afterTest(() => server.kill('SIGTERM'));
    const output = outputOf(server);
    const line = await until('the page is served', () => /.+\n/.exec(output.stdout)?.[0]);
    const { url, sidecars } = JSON.parse(line) as { url: string; sidecars: number };
    assert.equal(sidecars, facts.sidecars.length);
    await until('both endpoints are there', async () => {
      const text = await (await fetch(`${url}main`)).text();
      assert.doesNotMatch(text, /undrain|<summary>drain/);
      return [...text.matchAll(/>eligible</g)].length === 2 && text.includes('3 of 3 sidecars ready');
    });
  });

  it('obeys the intentions of Consul', async () => {
    const { address } = facts.consul;
    type Intention = { ID: string; SourceName: string; DestinationName: string; Action: string };
    const all = await ask<Intention[]>(address, '/connect/intentions');
    assert.deepEqual(
      all.map(({ SourceName, DestinationName, Action }) => `${SourceName} ${DestinationName} ${Action}`),
      ['client digits allow', '* * deny'],
    );
    const change = (Action: string) => {
      const { ID, ...intention } = all[0]!;
      const body = JSON.stringify({ ...intention, Action });
      return fetch(`${address}/v1/connect/intentions/${ID}`, { method: 'PUT', body });
    };
    const client = clientOf(facts);
    await change('deny');
    await isRefused(client);
    assert.match((await infer(facts)).stderr, /PERMISSION_DENIED/);
    await change('allow');
    await isAnswered(client);
  });

  it('follows a mesh file that changes: an intention that denies, and one that allows again', async () => {
    const file = join(mesh.temporary, 'mesh.yaml');
    const text = readFileSync(file, 'utf8');
    const taken = () =>
      mesh.events.flatMap(({ event, changed }) => (event === 'mesh-taken' ? [changed] : []));
    const client = clientOf(facts);
    writeFileSync(file, text.replace('action: allow', 'action: deny'));
    await isRefused(client);
    await until('up has said so', () => taken().length === 1);
    assert.deepEqual(taken()[0], ['intention client → digits: deny']);
    writeFileSync(file, text);
    await isAnswered(client);
  });

  it('keeps a sidecar registered and passing while another takes it over', async () => {
    const { address } = facts.consul;
    const caller = facts.sidecars.find(({ role }) => role === 'caller')!;
    const told = () => mesh.events.some(({ event }) => event === 'takeover');
    const seen: string[] = [];
    const look = async (): Promise<boolean> => {
      const found = await services(address);
      const states = (await checks(address)).filter(({ ServiceID }) => ServiceID.startsWith(caller.name));
      seen.push(`${found.includes(caller.name)} ${[...new Set(states.map(({ Status }) => Status))]}`);
      return !isRunning(caller.pid) && told();
    };
    process.kill(caller.pid, 'SIGTERM');
    await until('another has taken over, and the first is gone', look);
    // It says goodbye at its very end, if it does.
    const lastMs = performance.now() + 1_000;
    await until('it has had time for a goodbye', async () => (await look()) && performance.now() > lastMs);
    assert.deepEqual([...new Set(seen)], ['true passing']);
    await sevens();
  });

  it('starts an agent again that died, and says so; calls go on meanwhile', async () => {
    const { address, pid } = facts.consul;
    const before = await services(address);
    process.kill(pid!, 'SIGKILL');
    await sevens();
    await until('the agent is back', () => life().at(-1) === 'ready' && life().includes('backoff'));
    assert.deepEqual(await services(address), before);
    assert.equal((await ask<unknown[]>(address, '/connect/intentions')).length, 2);
    await sevens();
  });

  it('ends Consul last, after all have said goodbye to it', async () => {
    const { address } = facts.consul;
    const started = mesh.processes();
    mesh.signal('SIGTERM');
    let last = await services(address);
    // Often, as it ends soon after the last goodbye.
    for (let found: string[] | undefined = last; found !== undefined; await delay(5)) {
      last = found;
      found = await services(address).catch(() => undefined);
    }
    assert.deepEqual(last, [], 'an instance was still registered');
    const { code, stderr } = await mesh.outcome;
    assert.deepEqual([code, stderr], [0, '']);
    assert.deepEqual(started.filter(isRunning), []);
  });
});

describe('outrider up on a Consul that was there before', function () {
  this.timeout(90_000);

  it('registers there, writes nothing else, says so, and leaves nothing behind', async function () {
    await consulOrSkip(this);
    const consul = await ConsulServer.start();
    afterTest(() => consul.stop());
    const mesh = start(meshFile({ attemptTimeout: '4s', more: `consul: { address: "${consul.url}" }` }));
    const facts = (await mesh.ready()) as Facts;
    assert.deepEqual(facts.consul, { address: consul.url });
    assert.equal((await infer(facts)).code, 0, 'without ACLs Consul allows what no intention names');
    assert.deepEqual(await consul.api('GET', '/connect/intentions'), []);
    assert.ok((await services(consul.url)).includes('digits-1'));
    mesh.signal('SIGTERM');
    const { code, stderr } = await mesh.outcome;
    assert.equal(code, 0);
    assert.match(stderr, /^outrider: the intentions in the mesh file have no effect/);
    assert.deepEqual(await services(consul.url), []);
  });
});

describe('outrider up --consul, refused', () => {
  it('knows only dev', async () => {
    const { code, stderr } = await outrider(['up', '--consul', 'prod']);
    assert.equal(code, 2);
    assert.match(stderr, /--consul/);
  });

  it('says at once that no agent answers where the file says', async () => {
    const mesh = start(meshFile({ more: 'consul: { address: "http://127.0.0.1:1" }' }));
    await until('the sidecars are started', () => mesh.events.length > 0);
    mesh.signal('SIGTERM');
    const { stderr } = await mesh.outcome;
    assert.match(
      stderr,
      /no Consul agent at http:\/\/127\.0\.0\.1:1 \(.*ECONNREFUSED.*\): sidecars wait for it/,
    );
  });

  it('says in one line that a named Consul is none', async () => {
    const env = { CONSUL_BIN: '/nowhere/consul' };
    const { code, stdout, stderr } = await outrider(['up', '--consul', 'dev'], env);
    assert.deepEqual([code, stdout], [1, '']);
    assert.equal(stderr, 'outrider: CONSUL_BIN: /nowhere/consul is not a Consul program that runs here\n');
  });
});
