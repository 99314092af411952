/** What `outrider check` says of calls whose endpoints Consul knows: it follows the rules that the sidecar follows. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { catalogSubject } from '../../../../sidecar/cli/check/catalog-subject.js';
import { checkCall } from '../../../../sidecar/cli/check/consul-calls.js';
import { type Call, readSubject } from '../../../../sidecar/cli/check/subject.js';
import { AskedAgent } from '../../../../sidecar/cli/consul/asked-agent.js';
import { entryOf } from '../../../kit/consul/answers.js';
import { chain, idOf, resolver, router, splitter } from '../../../kit/consul/chains.js';
import { LoopbackAgent } from '../../../kit/consul/loopback-agent.js';
import { afterTest } from '../../../kit/mocha/after-test.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';
import { freePort } from '../../../kit/process/free-port.js';

const BOTH = { hasConsulIntentions: true, hasConsulRules: true };

describe('outrider check, of a call whose endpoints are in Consul', () => {
  const scratch = scratchForEach();
  let agent: LoopbackAgent;
  let asked: AskedAgent;
  /** Instances by path and datacenter, as `connect/digits` or `service/db@dc2`. */
  let instances: Record<string, readonly object[]>;
  let chains: Record<string, string>;
  /** Services that may not be called. */
  let denied: readonly string[];
  /** Paths that the token may not read. */
  let unreadable: readonly string[];
  let live: object;

  beforeEach(async () => {
    agent = await LoopbackAgent.start();
    afterTest(() => agent.stop());
    asked = AskedAgent.open(`http://127.0.0.1:${agent.port}`);
    afterTest(() => asked.close());
    [instances, chains, denied, unreadable] = [{}, {}, [], []];
    live = entryOf(1, { host: '127.0.0.1', port: await listening() });
    agent.handler = ({ url = '' }, response) => {
      const { pathname, searchParams: query } = new URL(url, 'http://agent');
      const path = pathname.replace('/v1/', '');
      const name = decodeURIComponent(path.split('/').at(-1)!);
      const answers: Record<string, () => unknown> = {
        'connect/intentions/check': () => ({ Allowed: !denied.includes(query.get('destination')!) }),
        'connect/intentions/match': () => ({}),
        'agent/self': () => ({ Config: { Datacenter: 'dc1' } }),
      };
      const dc = query.get('dc') === null ? '' : `@${query.get('dc')}`;
      const isChain = path.startsWith('discovery-chain/');
      if (unreadable.includes(path)) response.statusCode = 403;
      else if (isChain && chains[name] === undefined) response.statusCode = 404;
      else if (isChain) return response.end(chains[name]);
      const found = answers[path]?.() ?? instances[path.replace('health/', '') + dc] ?? [];
      return response.end(JSON.stringify(found));
    };
  });

  async function listening(): Promise<number> {
    const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
    afterTest(() => server.close());
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  }

  const callTo = (name: string, more: Partial<Call> = {}): Call => ({
    ...{ from: 'app', to: name, inConsul: name, endpoints: [] },
    ...more,
  });
  const said = async (call: Call, use = BOTH): Promise<string[]> =>
    (await checkCall(asked, call, use)).map(({ level, what }) => `${level}: ${what}`).sort();
  /** Of a sidecar file with one upstream. */
  const ofFile = (upstream: string): Call => {
    const text = `service: app\nconsul: {}\noutbound: { upstreams: { db: { listen: "127.0.0.1:18800", ${upstream} } } }\n`;
    return readSubject(scratch.write('sidecar.yaml', text)).subject!.calls[0]!;
  };
  const askedFor = (part: string) =>
    agent.asked.filter(({ url }) => url.includes(part)).map(({ url }) => url);
  const MAY = (service: string) => `ok: app may call ${service}`;
  const REACHED = (title: string) => `ok: 1 of 1 endpoints of ${title} can be reached`;
  const MAY_NOT = (service: string) => `no intention in Consul lets app call ${service}`;

  it('asks for the service itself, and for no intention, where the upstream is outside the mesh', async () => {
    instances['service/db'] = [live];
    denied = ['db'];
    assert.deepEqual(await said(ofFile('tls: plaintext')), [REACHED('db')]);
    assert.deepEqual(askedFor('intentions'), []);
    instances = { 'connect/db': [live] };
    assert.deepEqual(await said(ofFile('tls: plaintext')), ['failed: Consul has no instance of db']);
    denied = [];
    assert.deepEqual(await said(ofFile('tls: mesh')), [REACHED('db'), MAY('db')]);
  });

  it('judges the service that a redirect leads to, and not the one that the file names', async () => {
    chains['digits'] = chain([resolver('digits-v2')], { 'digits-v2': {} }, 'digits');
    instances['connect/digits-v2'] = [live];
    denied = ['digits'];
    assert.deepEqual(await said(callTo('digits')), [REACHED('digits-v2'), MAY('digits-v2')]);
    instances['connect/digits'] = [live];
    denied = ['digits-v2'];
    assert.deepEqual(await said(callTo('digits')), [`failed: ${MAY_NOT('digits-v2')}`, REACHED('digits-v2')]);
  });

  it('judges each service of a split and of a router', async () => {
    const [a, b] = [`resolver:${idOf('a')}`, `resolver:${idOf('b')}`];
    const targets = { a: {}, b: {} };
    instances['connect/a'] = [live];
    const found = [MAY('a'), MAY('b'), REACHED('a'), 'failed: Consul has no sidecar of b'].sort();
    chains['digits'] = chain(
      [splitter('digits', { [a]: 90, [b]: 10 }), resolver('a'), resolver('b')],
      targets,
      'digits',
    );
    assert.deepEqual(await said(callTo('digits')), found);
    const route = { match: { PathPrefix: '/x' }, next: a };
    chains['digits'] = chain([router('digits', [route], b), resolver('a'), resolver('b')], targets, 'digits');
    assert.deepEqual(await said(callTo('digits')), found);
  });

  it('warns of a failover target or a first one that has nothing, and fails where no target has', async () => {
    const consul = 'consul: { failover: [{ datacenter: dc2 }, { service: spare }] }';
    instances['connect/db'] = [live];
    denied = ['spare'];
    const none = (title: string) => `Consul has no sidecar of ${title}`;
    assert.deepEqual(await said(ofFile(consul)), [
      REACHED('db'),
      MAY('db'),
      `warning: ${none('db@dc2')}`,
      `warning: ${none('spare')}`,
      `warning: ${MAY_NOT('spare')}`,
    ]);
    instances = { 'connect/db@dc2': [live] };
    denied = [];
    assert.deepEqual((await said(ofFile(consul))).slice(0, 3), [REACHED('db@dc2'), MAY('db'), MAY('spare')]);
    assert.ok((await said(ofFile(consul))).includes(`warning: ${none('db')}`));
    instances = {};
    assert.deepEqual((await said(ofFile(consul))).slice(0, 3), [
      `failed: ${none('db')}`,
      `failed: ${none('db@dc2')}`,
      `failed: ${none('spare')}`,
    ]);
    chains['digits'] = chain(
      [resolver('digits', { failover: ['digits.dc2'] })],
      { digits: {}, 'digits.dc2': {} },
      'digits',
    );
    instances = { 'connect/digits@dc2': [live] };
    assert.deepEqual(await said(callTo('digits')), [
      REACHED('digits@dc2'),
      MAY('digits'),
      `warning: ${none('digits')}`,
    ]);
  });

  it('fails where the first target may not be called, whatever there is for failover', async () => {
    instances = { 'connect/db': [live], 'connect/spare': [live] };
    denied = ['db'];
    const found = await said(ofFile('consul: { failover: [{ service: spare }] }'));
    assert.ok(found.includes(`failed: ${MAY_NOT('db')}`), found.join());
  });

  it('asks for the instances that have the tags and metadata of the file', async () => {
    instances['connect/db'] = [live];
    const filter = '"gpu" in Service.Tags and Service.Meta["zone"] == "a"';
    const [reached] = await said(ofFile('consul: { tags: [gpu], meta: { zone: a } }'));
    assert.equal(reached, REACHED(`db (${filter})`));
    assert.deepEqual(
      askedFor('health/').map((url) => new URL(url, 'http://agent').searchParams.get('filter')),
      [filter],
    );
    assert.deepEqual(askedFor('discovery-chain'), [], 'rules do not apply then');
  });

  it('takes a resolver with OnlyPassing at its word, and asks for no rules where they are off', async () => {
    chains['digits'] = chain([resolver('v1.digits')], { 'v1.digits': { OnlyPassing: true } }, 'digits');
    instances['connect/digits'] = [entryOf(1, { host: '127.0.0.1', status: 'warning' })];
    assert.ok(
      (await said(callTo('digits'))).includes(
        'failed: all 1 sidecars of digits (only passing) are critical in Consul',
      ),
    );
    instances['connect/digits'] = [live];
    const before = askedFor('discovery-chain').length;
    assert.deepEqual(await said(callTo('digits'), { ...BOTH, hasConsulRules: false }), [
      REACHED('digits'),
      MAY('digits'),
    ]);
    assert.equal(askedFor('discovery-chain').length, before);
  });

  it('fails where the rules cannot be read, or lead nowhere', async () => {
    unreadable = ['discovery-chain/digits'];
    assert.match(
      (await said(callTo('digits'))).join(),
      /^failed: the traffic rules of digits cannot be read: 403/,
    );
    unreadable = [];
    chains['digits'] = chain([resolver('digits')], { digits: { Peer: 'other' } }, 'digits');
    assert.deepEqual(await said(callTo('digits')), [
      'failed: the traffic rules of digits lead to nothing that a sidecar can call',
    ]);
  });

  it('reaches the instances of another datacenter by their wan addresses, and those of its own by the others', async () => {
    const port = await freePort();
    const far = {
      ...live,
      Service: {
        ...entryOf(1).Service,
        ...{ Address: '127.0.0.1', Port: port },
        TaggedAddresses: { wan: (live as ReturnType<typeof entryOf>).Service },
      },
    };
    instances = { 'connect/db@dc2': [far], 'connect/db@dc1': [far] };
    const found = async (dc: string) => (await said(ofFile(`consul: { datacenter: ${dc} }`)))[0];
    assert.match((await found('dc1'))!, /^failed: 0 of 1 endpoints of db@dc1/);
    assert.equal(await found('dc2'), REACHED('db@dc2'));
  });

  it('says of a call in the catalogue whose service is outside the mesh what its caller needs', async () => {
    instances = {
      'catalog/service/app-sidecar-proxy': [
        {
          ServiceProxy: {
            DestinationServiceName: 'app',
            Upstreams: [{ DestinationName: 'db' }, { DestinationName: 'db', Datacenter: 'dc2' }],
          },
        },
      ],
      'service/db': [live],
      'connect/db@dc2': [live],
      'catalog/services': { app: ['outrider'] } as never,
      'service/app': [entryOf(1, { service: 'app' })],
    };
    denied = ['db'];
    const { calls, hasConsulRules } = await catalogSubject(asked);
    assert.deepEqual([calls.length, hasConsulRules], [2, true]);
    const [here, there] = await Promise.all(calls.map((call) => said(call)));
    assert.deepEqual(here, [
      'warning: Consul has no sidecar of db; outside the mesh, 1 of 1 endpoints of db can be reached',
    ]);
    const ours = entryOf(1, { host: '127.0.0.1' });
    instances['service/db'] = [{ ...ours, Service: { ...ours.Service, Meta: { outrider: '1' } } }];
    const lost = ['failed: Consul has no sidecar of db', `failed: ${MAY_NOT('db')}`];
    assert.deepEqual(await said(calls[0]!), lost, 'its sidecar is gone');
    assert.deepEqual(there, [`failed: ${MAY_NOT('db')}`, REACHED('db@dc2')]);
  });
});
