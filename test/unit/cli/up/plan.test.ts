import assert from 'node:assert/strict';
import { rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import {
  adminAddress,
  callAddresses,
  callerOf,
  inboundAddress,
  observeAddress,
} from '../../../../sidecar/cli/up/addresses.js';
import { consulOf } from '../../../../sidecar/cli/up/mesh-consul.js';
import { planMesh, type SidecarSpec } from '../../../../sidecar/cli/up/plan.js';
import { PortAllocator } from '../../../../sidecar/cli/up/port-allocator.js';
import { RunDirectory } from '../../../../sidecar/cli/up/run-directory.js';
import { parseMeshFile, parseSidecarFile } from '../../../../sidecar/config/file/parse.js';
import { stringifySidecar } from '../../../../sidecar/config/stringify.js';
import { MODEL_V8_FLAGS } from '../../../../sidecar/runtime/process/v8-tuning.js';
import { meshFile } from '../../../kit/config/mesh-file.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';
import { freePort } from '../../../kit/process/free-port.js';
import { DIGITS_MODELS } from '../../../kit/process/outrider.js';

const FOREIGN = `
services:
  echo: { command: [serve-echo, --at, "{address}", --number, "{replica}"], replicas: 2, model: { env: { PORT: "{port}" } } }
caller: { name: client, upstreams: { echo: { listen: "127.0.0.1:0" } } }
`;

/** Where the system tells, the holder is named: this very process, with the command line of the tests. */
function takenByUs(start: string): RegExp {
  const by = process.platform === 'linux' ? ` by process ${process.pid} \\(.+\\)` : '';
  const next = '; end that process, name another port in the mesh file, or start with --ports free';
  return new RegExp(`^${start.replaceAll('.', '\\.')}${by}${next}$`);
}

/** Whether another program left us 8800 and 8890. */
async function usualPortsFree(): Promise<{ call: boolean; admin: boolean }> {
  const book = new PortAllocator();
  const [call, admin] = [await book.tryClaim('127.0.0.1', 8800), await book.tryClaim('127.0.0.1', 8890)];
  await book.close();
  return { call, admin };
}

function assertReadsBack({ config, file }: SidecarSpec): void {
  const back = parseSidecarFile(stringifySidecar(config), file);
  assert.ok(back.ok, JSON.stringify(back));
  assert.deepEqual(back.config, config);
}

describe('plan of a mesh', () => {
  const scratch = scratchForEach();
  let ports: PortAllocator;

  beforeEach(() => {
    ports = new PortAllocator();
  });

  afterEach(() => ports.close());

  function plan(text: string, agentUrl?: string): Promise<SidecarSpec[]> {
    const parsed = parseMeshFile(text, 'mesh.yaml');
    assert.ok(parsed.ok, JSON.stringify(parsed));
    const run = RunDirectory.create(`${scratch.path}/run`);
    const issue = async (_: string, name: string) => ({ cert: `/${name}/c`, key: `/${name}/k`, roots: '/r' });
    const consul = consulOf(parsed.config, agentUrl);
    const rest = { self: ['node', 'main.js'], ...(consul === undefined ? {} : { consul }) };
    return planMesh({ mesh: parsed.config, run, ports, issue, ...rest });
  }

  it('tells callers which engine a service is, unless they say it themselves', async () => {
    const specs = await plan(`
services:
  chat: { command: [serve, "{port}"], engine: vllm, upstreams: { embed: { engine: sglang } } }
  embed: { command: [serve, "{port}"] }
  relay: { command: [serve, "{port}"], upstreams: { chat: {} } }
caller: { name: client, upstreams: { chat: { listen: "127.0.0.1:0" }, embed: { listen: "127.0.0.1:0" } } }
intentions: [{ from: "*", to: "*", action: allow }]
`);
    const engines = specs.map(({ name, config }) => [
      name,
      (config.outbound?.upstreams ?? []).map(({ engine }) => engine),
    ]);
    const expected = {
      'chat-1': ['sglang'],
      'embed-1': [],
      'relay-1': ['vllm'],
      client: ['vllm', undefined],
    };
    assert.deepEqual(Object.fromEntries(engines), expected);
    const own = specs.map(({ config }) => config.inbound?.engine);
    assert.deepEqual(own, ['vllm', undefined, undefined, undefined]);
    for (const spec of specs) assertReadsBack(spec);
  });

  it('gives each sidecar the intentions about its service', async () => {
    const specs = await plan(`
services: { a: { models: ${DIGITS_MODELS} }, b: { models: ${DIGITS_MODELS} } }
caller: { name: app, upstreams: { a: { listen: "127.0.0.1:0" }, b: { listen: "127.0.0.1:0" } } }
intentions:
  - { from: app, to: a, action: allow }
  - { from: app, to: b, action: allow }
  - { from: a, to: "*", action: deny }
`);
    const about = specs.map(({ config }) => config.inbound?.intentions.map(({ to }) => to));
    assert.deepEqual(about, [['a', '*'], ['b', '*'], undefined]);
    for (const spec of specs) assertReadsBack(spec);
  });

  it('tells all replicas of an engine the same of what they run, and other words of its command something else', async () => {
    const modelsOf = async (words: string, more = ''): Promise<unknown[]> => {
      const text = `
services:
  chat:
    command: [serve, ${words}, "{port}", --seed, "{replica}"]
    engine: vllm
    replicas: 2
    model: { env: { CUDA_VISIBLE_DEVICES: "{replica}" } }
    ${more}
caller: { name: client, upstreams: { chat: { listen: "127.0.0.1:0" } } }
intentions: [{ from: "*", to: "*", action: allow }]
`;
      const specs = await plan(text);
      for (const spec of specs) assertReadsBack(spec);
      rmSync(`${scratch.path}/run`, { recursive: true });
      return specs.flatMap(({ config }) => config.inbound?.engineModel ?? []);
    };
    const [first, second, ...others] = await modelsOf('llama');
    assert.deepEqual([first, others], [second, []]);
    assert.match(String(first), /^[0-9a-f]{16}$/);
    assert.deepEqual(await modelsOf('llama'), [first, first]);
    assert.notEqual((await modelsOf('llama, --revision, "2"'))[0], first);
    assert.deepEqual(await modelsOf('llama', 'engine_model: llama@5'), ['llama@5', 'llama@5']);
  });

  it('gives a caller that the file does not have the usual ports, and others where those are taken', async () => {
    const text = `services: { a: { models: ${DIGITS_MODELS} }, b: { models: ${DIGITS_MODELS} } }`;
    const isFree = await usualPortsFree();
    await ports.tryClaim('127.0.0.1', 8801);
    const caller = callerOf(await plan(text));
    const { a, b } = callAddresses(caller);
    if (isFree.call) assert.equal(a, '127.0.0.1:8800');
    assert.match(b!, /^127\.0\.0\.1:(?!8801)\d+$/);
    if (isFree.admin) assert.equal(adminAddress(caller), '127.0.0.1:8890');
  });

  it('gives each sidecar the next port from that of observe on, which it keeps when the file changes', async () => {
    const base = await freePort(4);
    const file = (replicas: number) => meshFile({ replicas, more: `observe: 127.0.0.1:${base}\n` });
    const portsOf = (specs: readonly SidecarSpec[]) =>
      Object.fromEntries(
        specs.map((spec) => [spec.name, Number(observeAddress(spec)!.split(':')[1]) - base]),
      );
    const before = { 'digits-1': 0, 'digits-2': 1, client: 2 };
    assert.deepEqual(portsOf(await plan(file(2))), before);
    await ports.release();
    rmSync(`${scratch.path}/run`, { recursive: true });
    assert.deepEqual(portsOf(await plan(file(3))), { ...before, 'digits-3': 3 });
  });

  it('gives each sidecar any free port where observe has port 0, and none without it', async () => {
    const specs = await plan(meshFile({ replicas: 2, more: 'observe: 127.0.0.1:0\n' }));
    const all = specs.map((spec) => observeAddress(spec));
    assert.equal(new Set(all).size, 3);
    for (const address of all) assert.match(address!, /^127\.0\.0\.1:[1-9]\d+$/);
    for (const spec of specs) assertReadsBack(spec);
    rmSync(`${scratch.path}/run`, { recursive: true });
    for (const spec of await plan(meshFile({ replicas: 2 }))) assert.equal(observeAddress(spec), undefined);
  });

  it('gives every replica and the caller a spec, and tells the caller where all replicas are', async () => {
    const specs = await plan(meshFile({ replicas: 3 }));
    const names = ['digits-1', 'digits-2', 'digits-3'];
    assert.deepEqual(
      specs.map((spec) => [spec.name, spec.service, spec.role]),
      [...names.map((name) => [name, 'digits', 'replica']), ['client', 'client', 'caller']],
    );
    const upstream = callerOf(specs).config.outbound!.upstreams[0]!;
    const ids = upstream.endpoints.map((endpoint) => endpoint.id);
    assert.deepEqual(ids, names);
    const own = specs.flatMap((spec) => [inboundAddress(spec) ?? [], adminAddress(spec)].flat());
    const everywhere = [...own, ...Object.values(callAddresses(callerOf(specs)))];
    assert.equal(new Set(everywhere).size, 8, 'an address is given twice');
    const isOpen = everywhere.some((address) => address.endsWith(':0'));
    assert.ok(!isOpen, 'a port is left open');
  });

  it('runs our own model server on a socket that only this user can reach', async () => {
    const [spec] = await plan(meshFile());
    const { inbound, model } = spec!.config;
    assert.equal(inbound!.local.kind, 'unix');
    const path = inbound!.local.kind === 'unix' ? inbound!.local.path : '';
    assert.equal(statSync(dirname(path)).mode & 0o777, 0o700);
    const self = ['node', ...MODEL_V8_FLAGS, 'main.js', 'serve'];
    assert.deepEqual(model!.command.slice(0, self.length), self);
    assert.equal(model!.isolation, 'process');
    const rest = ['--model', '{model}={version}', '--listen', '{socket}', '--exit-with-stdin'];
    assert.deepEqual(model!.command.slice(self.length + 2), rest);
    rmSync(`${scratch.path}/run`, { recursive: true });
    const [shared] = await plan(meshFile().replace('replicas: 1', 'replicas: 1, isolation: shared'));
    assert.equal(shared!.config.model!.isolation, 'shared');
    assert.ok(!shared!.config.model!.command.includes('{model}={version}'));
    assert.equal(inbound!.mtls, 'strict');
    assert.equal(inbound!.defaultIntention, 'deny');
  });

  it('gives our own servers the golden inputs of their cards, with Consul and without, and foreign ones none', async () => {
    const golden = async (text: string, agentUrl?: string): Promise<unknown> => {
      const [spec] = await plan(text, agentUrl);
      rmSync(`${scratch.path}/run`, { recursive: true });
      return spec!.config.inbound!.golden;
    };
    for (const agentUrl of [undefined, 'http://127.0.0.1:8500']) {
      const expected = { models: DIGITS_MODELS, intervalMs: 10_000 };
      assert.deepEqual(await golden(meshFile(), agentUrl), expected);
      assert.equal(await golden(FOREIGN, agentUrl), undefined);
    }
  });

  it('tells a foreign server where to listen, by argument and environment', async () => {
    const specs = await plan(FOREIGN);
    for (const [i, spec] of specs.slice(0, 2).entries()) {
      const { local } = spec.config.inbound!;
      assert.equal(local.kind, 'tcp');
      const port = local.kind === 'tcp' ? local.port : 0;
      const command = ['serve-echo', '--at', `127.0.0.1:${port}`, '--number', String(i + 1)];
      assert.deepEqual(spec.config.model!.command, command);
      assert.deepEqual(spec.config.model!.env, { PORT: String(port) });
    }
  });

  it('gives each replica of a service that calls others sockets of its own, and tells it where they are', async () => {
    const text = `services: {a: {models: ${DIGITS_MODELS}, replicas: 2, upstreams: {b: {}}}, b: {models: ${DIGITS_MODELS}, replicas: 2, upstreams: {a: {listen: "127.0.0.1:0"}}}}`;
    const [a1, a2, b1, b2] = await plan(text);
    for (const spec of [a1!, a2!]) {
      const [upstream] = spec.config.outbound!.upstreams;
      assert.deepEqual(upstream!.listen, { kind: 'unix', path: `${spec.folder}/b.sock` });
      assert.deepEqual(
        upstream!.endpoints.map(({ id, address }) => [id, address]),
        [b1!, b2!].map(({ name, config }) => [name, config.inbound!.listen]),
      );
      assertReadsBack(spec);
    }
    const ports = [b1!, b2!].map(({ config }) => {
      const { listen } = config.outbound!.upstreams[0]!;
      return listen?.kind === 'tcp' ? listen.port : 0;
    });
    assert.ok(ports.every((port) => port > 0) && ports[0] !== ports[1], String(ports));
  });

  it('leaves the endpoints of a service that is called to Consul, where the mesh has one', async () => {
    const text = `services: {a: {models: ${DIGITS_MODELS}, upstreams: {b: {}}}, b: {models: ${DIGITS_MODELS}}}`;
    const [a] = await plan(text, 'http://127.0.0.1:8500');
    const [upstream] = a!.config.outbound!.upstreams;
    assert.deepEqual([upstream!.endpoints, upstream!.consul!.service], [[], 'b']);
    assertReadsBack(a!);
  });

  it('sends traces and metrics of every sidecar to the collectors of the file', async () => {
    const more =
      'traces: { endpoint: "http://otel:4318" }\nmetrics: { endpoint: "http://otel:4317", protocol: grpc, interval: 15s }\n';
    const specs = await plan(meshFile({ replicas: 2, more }));
    assert.equal(specs.length, 3);
    for (const spec of specs) {
      const { traces, metrics } = spec.config;
      assert.deepEqual(
        [traces?.endpoint, metrics?.protocol, metrics?.intervalMs],
        ['http://otel:4318', 'grpc', 15_000],
      );
      assertReadsBack(spec);
    }
  });

  it('writes sidecar files that read back as planned', async () => {
    for (const spec of await plan(meshFile({ replicas: 2 }))) assertReadsBack(spec);
  });

  describe('on Consul', () => {
    const AGENT = 'http://127.0.0.1:8500';

    it('tells sidecars the agent, in place of certificates, endpoints and intentions', async () => {
      const specs = await plan(meshFile({ replicas: 2 }), AGENT);
      for (const { config } of specs) {
        assert.deepEqual(config.identity, { kind: 'consul' });
        assert.equal(config.consul?.address, AGENT);
        assert.ok(config.consul.registration, 'it registers');
      }
      const { inbound } = specs[0]!.config;
      assert.deepEqual([inbound!.intentions, inbound!.defaultIntention], [[], 'deny']);
      assert.deepEqual(inbound!.golden, { models: DIGITS_MODELS, intervalMs: 10_000 });
      const [upstream] = callerOf(specs).config.outbound!.upstreams;
      assert.deepEqual(upstream!.endpoints, []);
      assert.deepEqual(upstream!.consul, { service: 'digits', tags: [], meta: {}, failover: [] });
    });

    it('registers replicas with what the file says of their service, each with a cache of its own', async () => {
      const labels = 'replicas: 2, tags: [gpu], meta: { team: vision }';
      const more = 'consul: { cache: { dir: /var/cache/mesh } }';
      const file = meshFile({ replicas: 2, more }).replace('replicas: 2', labels);
      const specs = await plan(file);
      const [first, second, caller] = specs.map((spec) => spec.config.consul!);
      assert.deepEqual([first!.registration!.tags, first!.registration!.meta], [['gpu'], { team: 'vision' }]);
      assert.deepEqual(caller!.registration!.tags, []);
      assert.equal(first!.cache!.dir, '/var/cache/mesh/digits-1');
      assert.equal(second!.cache!.dir, '/var/cache/mesh/digits-2');
      assert.equal(first!.address, undefined, 'the agent is the one that the variables name');
    });

    it('lets the file state the intentions when it shall', async () => {
      const [spec] = await plan(meshFile({ more: 'consul: { intentions: false }' }), AGENT);
      assert.equal(spec!.config.inbound!.intentions.length, 1);
      assert.equal(spec!.config.consul!.intentions, false);
    });

    it('writes sidecar files that read back as planned, without a golden probe for a foreign server', async () => {
      for (const text of [meshFile({ replicas: 2 }), FOREIGN]) {
        for (const spec of await plan(text, AGENT)) {
          assertReadsBack(spec);
          assert.equal(spec.config.inbound?.golden === undefined, spec.service !== 'digits');
        }
        rmSync(`${scratch.path}/run`, { recursive: true });
      }
    });
  });

  it('gives fixed ports in order when the file names a base', async () => {
    const base = await freePort(2);
    const text = meshFile().replace('replicas: 1', `replicas: 1, port_base: ${base}`);
    const [spec] = await plan(text);
    assert.equal(inboundAddress(spec!), `127.0.0.1:${base}`);
    assert.equal(adminAddress(spec!), `127.0.0.1:${base + 1}`);
  });

  it('refuses a port that is taken, naming the listener that needed it', async () => {
    const port = await ports.find('127.0.0.1');
    const start = `upstream digits: cannot listen on 127.0.0.1:${port}: the port is already taken`;
    await assert.rejects(plan(meshFile({ listen: `127.0.0.1:${port}` })), { message: takenByUs(start) });
  });
});
