import assert from 'node:assert/strict';
import { consulNotes } from '../../../../sidecar/cli/check/consul-notes.js';
import { validateCommand } from '../../../../sidecar/cli/validate.js';
import { chain, resolver } from '../../../kit/consul/chains.js';
import { LoopbackAgent } from '../../../kit/consul/loopback-agent.js';
import { afterTest } from '../../../kit/mocha/after-test.js';
import { scratchForTest } from '../../../kit/mocha/scratch.js';

const FILE = `services:
  digits: { command: [serve, "{port}"] }
caller: { name: web, upstreams: { digits: { listen: "127.0.0.1:18800" } } }
consul: {}
`;

describe('outrider validate --consul', () => {
  it('warns of rules in Consul that a sidecar would not apply, and of nothing else', async () => {
    const agent = await LoopbackAgent.start();
    afterTest(() => agent.stop());
    const defaults = {
      Kind: 'service-defaults',
      Name: 'web',
      UpstreamConfig: { Defaults: { EnvoyClusterJSON: '{}', Limits: { MaxConnections: 3 } } },
    };
    const answers: Record<string, unknown> = {
      '/v1/config/service-defaults/web': defaults,
      '/v1/config/service-defaults/digits': {
        Kind: 'service-defaults',
        Name: 'digits',
        MaxInboundConnections: 5,
      },
      '/v1/config/proxy-defaults/global': {
        Kind: 'proxy-defaults',
        Config: { protocol: 'grpc', envoy_x: 1 },
      },
      '/v1/connect/intentions': [{ SourceName: 'web', DestinationName: 'digits', Action: 'allow' }],
    };
    agent.handler = ({ url = '' }, response) => {
      const body = answers[url];
      response.statusCode = body === undefined ? 404 : 200;
      response.end(JSON.stringify(body ?? ''));
    };
    const file = scratchForTest().write('mesh.yaml', FILE);
    const notes = await consulNotes([file, '/no/such.yaml'], `http://127.0.0.1:${agent.port}`);
    assert.deepEqual([...notes.keys()], [file]);
    const lines: string[] = [];
    const output = { out: (line: string) => lines.push(line), error: (line: string) => lines.push(line) };
    assert.equal(validateCommand([file], { json: false, notes }, output), 0);
    const about = lines.filter((line) => line.includes('in Consul: '));
    assert.equal(about.length, 3, lines.join('\n'));
    assert.match(about[0]!, /proxy-defaults: Config "envoy_x" is not applied/);
    assert.match(about[1]!, /service-defaults "digits": MaxInboundConnections is not applied/);
    assert.match(
      about[2]!,
      /service-defaults "web": UpstreamConfig\.Defaults\.EnvoyClusterJSON is not applied/,
    );
  });

  it('says that rules are passed over where the file says which instances are called, and nothing where rules are off', async () => {
    const agent = await LoopbackAgent.start();
    afterTest(() => agent.stop());
    agent.handler = ({ url = '' }, response) => {
      const isChain = url.startsWith('/v1/discovery-chain/digits');
      response.statusCode = isChain || url.endsWith('/intentions') ? 200 : 404;
      response.end(isChain ? chain([resolver('other')], { other: {} }, 'digits') : '[]');
    };
    const notesOf = async (consul: string, discovery: string): Promise<readonly string[]> => {
      const upstream = `{ listen: "127.0.0.1:18800", consul: ${discovery} }`;
      const text = `service: web\nconsul: ${consul}\noutbound: { upstreams: { digits: ${upstream} } }\n`;
      const file = scratchForTest().write('sidecar.yaml', text);
      return (await consulNotes([file], `http://127.0.0.1:${agent.port}`)).get(file) ?? [];
    };
    assert.match((await notesOf('{}', '{ tags: [a] }')).join(), /or -resolver of "digits" is not applied/);
    assert.deepEqual(await notesOf('{}', '{ datacenter: dc2 }'), []);
    assert.deepEqual(await notesOf('{ rules: false }', '{ tags: [a] }'), []);
  });

  it('says nothing of rules for an upstream whose endpoints are in the file', async () => {
    const agent = await LoopbackAgent.start();
    afterTest(() => agent.stop());
    agent.handler = ({ url = '' }, response) => {
      const isChain = url === '/v1/discovery-chain/digits';
      response.statusCode = isChain || url.endsWith('/intentions') ? 200 : 404;
      response.end(
        isChain ? chain([resolver('digits', { more: { Soon: 1 } })], { digits: {} }, 'digits') : '[]',
      );
    };
    const notesOf = async (from: string): Promise<readonly string[]> => {
      const upstream = `{ listen: "127.0.0.1:18800", ${from} }`;
      const text = `service: web\nconsul: {}\noutbound: { upstreams: { digits: ${upstream} } }\n`;
      const file = scratchForTest().write('sidecar.yaml', text);
      const notes = await consulNotes([file], `http://127.0.0.1:${agent.port}`);
      assert.ok(notes.has(file));
      return notes.get(file)!;
    };
    assert.deepEqual(await notesOf('consul: { service: digits }'), [
      'service-resolver "digits": Soon is not applied.',
    ]);
    assert.deepEqual(await notesOf('endpoints: ["127.0.0.1:18801"]'), []);
  });

  it('reads the registration that a file adopts, and says where there is none', async () => {
    const agent = await LoopbackAgent.start();
    afterTest(() => agent.stop());
    const upstream = {
      DestinationName: 'digits',
      LocalBindPort: 19_001,
      Datacenter: 'dc2',
      Config: { odd: 1 },
    };
    const proxy = { DestinationServiceName: 'web', DestinationServiceID: 'web1', Upstreams: [upstream] };
    const registration = { Kind: 'connect-proxy', ID: 'web1-proxy', Port: 21_000, Proxy: proxy };
    const answers: Record<string, string> = {
      '/v1/agent/services': JSON.stringify({ 'web1-proxy': registration }),
      '/v1/agent/service/web1-proxy': JSON.stringify(registration),
      '/v1/discovery-chain/digits?compile-dc=dc2': chain(
        [resolver('digits', { more: { Soon: 1 } })],
        { digits: {} },
        'digits',
      ),
      '/v1/config/service-defaults/web': '{"Kind":"service-defaults","Name":"web","MaxInboundConnections":5}',
      '/v1/connect/intentions': '[]',
    };
    agent.handler = ({ url = '' }, response) => {
      response.statusCode = answers[url] === undefined ? 404 : 200;
      response.end(answers[url] ?? '');
    };
    const notesOf = async (adopt: string, more = ''): Promise<readonly string[]> => {
      const file = scratchForTest().write('adopted.yaml', `consul: { adopt: { ${adopt} } }\n${more}`);
      return (await consulNotes([file], `http://127.0.0.1:${agent.port}`)).get(file) ?? [];
    };
    assert.deepEqual(await notesOf('sidecar_for: web1'), [
      'the registration "web1-proxy": the upstream "digits": Config.odd is not applied.',
      'service-defaults "web": MaxInboundConnections is not applied.',
      'service-resolver "digits": Soon is not applied.',
    ]);
    assert.deepEqual(await notesOf('sidecar_for: gone'), [
      'consul.adopt: the agent has no proxy of the service "gone"; expected one',
    ]);
    assert.deepEqual(await notesOf('proxy: gone'), ['consul.adopt: the agent has no registration "gone"']);
    assert.match((await notesOf('proxy: web1-proxy', 'service: other\n')).join(), /"web1-proxy" do not fit/);
  });

  it('fails where the agent does not answer', async () => {
    const file = scratchForTest().write('mesh.yaml', FILE);
    await assert.rejects(
      consulNotes([file], 'http://127.0.0.1:1'),
      /^CommandFailure: Consul at http:\/\/127\.0\.0\.1:1: /,
    );
  });
});
