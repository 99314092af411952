import assert from 'node:assert/strict';
import { isSame } from '../../../../../sidecar/discovery/consul/registration/agent-state.js';
import {
  definitionsOf,
  type States,
} from '../../../../../sidecar/discovery/consul/registration/definition.js';
import { idsOf } from '../../../../../sidecar/discovery/consul/registration/instance.js';
import { SETTINGS, TestInstance, tcp } from '../../../../kit/consul/registration-kit.js';

const PASSING: States = { service: 'passing', proxy: 'passing' };

describe('the definition of an instance', () => {
  let instance: TestInstance;

  beforeEach(() => {
    instance = new TestInstance();
  });

  const definitions = (settings: Partial<typeof SETTINGS> = {}) =>
    definitionsOf(instance, { ...SETTINGS, ...settings }, PASSING);

  it('a definition is a service and its proxy, with checks that Consul ends after a bounded time', () => {
    const common = {
      Tags: ['eu', 'outrider', 'model-digits'],
      Meta: { team: 'ml', outrider: '0.1.0', models: 'digits:1', 'model-digits': '1' },
      Weights: { Passing: 1, Warning: 1 },
    };
    const ttl = { Status: 'passing', TTL: '30000ms', DeregisterCriticalServiceAfter: '600000ms' };
    const at = (Port: number) => ({ Address: '127.0.0.1', Port, ...common });
    const check = (of: string, Name: string, rest: object) => ({ CheckID: `digits-1${of}`, Name, ...rest });
    const modelNotes = 'Outrider: inferences are answered, or a probe while there are none';
    const sidecarNotes = 'Outrider: the sidecar can take calls';
    const alias = { AliasService: 'digits-1', Status: 'passing' };
    const destination = { DestinationServiceName: 'digits', DestinationServiceID: 'digits-1' };
    const local = { LocalServiceAddress: '127.0.0.1', LocalServicePort: 7001 };
    assert.deepEqual(definitions({ tags: ['eu'], meta: { team: 'ml' } }), {
      service: {
        ID: 'digits-1',
        Name: 'digits',
        ...at(7001),
        Checks: [check(':health', 'model', { Notes: modelNotes, ...ttl })],
      },
      proxy: {
        ID: 'digits-1-sidecar-proxy',
        Name: 'digits-sidecar-proxy',
        Kind: 'connect-proxy',
        ...at(8001),
        Proxy: { ...destination, ...local, Upstreams: [] },
        Checks: [
          check('-sidecar-proxy:health', 'sidecar', { Notes: sidecarNotes, ...ttl }),
          check('-sidecar-proxy:service', 'service behind the sidecar', alias),
        ],
      },
    });
  });

  it('a definition has ids that hold the service name once', () => {
    for (const [instance, id] of [
      ['2', 'digits-2'],
      ['digits-2', 'digits-2'],
      ['digits', 'digits'],
      ['digits2', 'digits-digits2'],
      ['host-a', 'digits-host-a'],
    ] as const)
      assert.equal(idsOf({ service: 'digits', instance }).service, id);
  });

  it('a definition has the address of the file, else where the sidecar listens, else that of the node', () => {
    for (const [host, said, address] of [
      ['10.0.0.5', {}, '10.0.0.5'],
      ['0.0.0.0', {}, undefined],
      ['::', {}, undefined],
      ['0.0.0.0', { address: '192.0.2.1' }, '192.0.2.1'],
      ['10.0.0.5', { address: 'digits.example' }, 'digits.example'],
    ] as const) {
      instance.inbound = tcp(8001, host);
      assert.equal(definitions(said).proxy!.Address, address);
    }
  });

  it('a definition says where metrics are served, once, and the port alone where that is on every address', () => {
    const key = 'outrider-observe';
    assert.equal(definitions().service.Meta[key], undefined);
    for (const [observe, value] of [
      [tcp(9464, '10.0.0.5'), '10.0.0.5:9464'],
      [tcp(9464, '0.0.0.0'), '9464'],
      [tcp(9464, '::'), '9464'],
      [{ kind: 'unix', path: '/run/observe.sock' }, undefined],
    ] as const) {
      instance.observe = observe;
      const { service, proxy } = definitions();
      assert.deepEqual([service.Meta[key], proxy!.Meta[key]], [value, undefined]);
    }
    instance.observe = tcp(9464);
    assert.equal(definitions({ meta: { [key]: 'mine' } }).service.Meta[key], 'mine');
  });

  it('a definition leaves out ports where the model listens on a socket file', () => {
    instance.local = { kind: 'unix', path: '/run/model.sock' };
    const { service, proxy } = definitions();
    assert.equal(service.Port, undefined);
    assert.equal(proxy!.Proxy!.LocalServicePort, undefined);
  });

  it('a definition is a service alone where peers come by a socket file', () => {
    instance.inbound = { kind: 'unix', path: '/run/in.sock' };
    assert.equal(definitions().proxy, undefined);
  });

  it('a definition gives a sidecar that only calls the port of its first listener, and draws its upstreams', () => {
    const upstreams = [
      { name: 'a', service: 'a', listen: { kind: 'unix', path: '/run/a' } },
      { name: 'b', service: 'bb', datacenter: 'dc2', listen: tcp(9002, '0.0.0.0') },
      { name: 'c', service: 'c', listen: tcp(9003) },
      { name: 'c-again', service: 'c', listen: tcp(9004) },
      { name: 'd', service: 'd' },
    ] as const;
    Object.assign(instance, { inbound: undefined, local: undefined, models: [], upstreams });
    const { service, proxy } = definitions();
    const checks = service.Checks.map(({ Name }) => Name);
    assert.deepEqual([checks, service.Meta['models']], [['caller'], undefined]);
    assert.deepEqual([proxy!.Address, proxy!.Port], ['127.0.0.1', 9002]);
    const drawn = proxy!.Proxy!.Upstreams.map((u) => [u.DestinationName, u.Datacenter, u.LocalBindPort]);
    assert.deepEqual(drawn, [
      ['bb', 'dc2', 9002],
      ['c', undefined, 9003],
    ]);
    instance.upstreams = [];
    assert.equal(definitions().proxy, undefined);
  });

  it('a definition has only such tags and metadata as Consul allows', () => {
    instance.models = Array.from({ length: 100 }, (_, i) => ({ name: `my.model_${i}`, version: '1' }));
    instance.observe = tcp(9464);
    const { service } = definitions({ meta: { outrider: 'mine' } });
    assert.equal(Object.keys(service.Meta).length, 64);
    assert.equal(service.Meta['outrider'], 'mine');
    assert.equal(service.Meta['outrider-observe'], '127.0.0.1:9464');
    assert.equal(service.Meta['model-my_model_0'], '1');
    for (const [key, value] of Object.entries(service.Meta)) {
      assert.match(key, /^[A-Za-z0-9_-]{1,128}$/);
      assert.ok(value.length <= 512);
    }
    for (const tag of service.Tags) assert.match(tag, /^[A-Za-z0-9-]+$/);
  });

  it('a definition equals that of the agent whatever the agent adds, and differs when any of its own fields does', () => {
    instance.upstreams = [{ service: 'a', listen: tcp(9001) }];
    const wanted = definitions().proxy!;
    const { Name, ...rest } = wanted;
    const found = {
      ...rest,
      Service: Name,
      Tags: [...wanted.Tags].reverse(),
      EnableTagOverride: false,
      ContentHash: '72ece93ee3036102',
      Proxy: { ...wanted.Proxy!, MeshGateway: {}, Expose: {} },
    };
    assert.ok(isSame(wanted, found));
    for (const other of [
      { ...found, Port: 1 },
      { ...found, Tags: [] },
      { ...found, Meta: {} },
      { ...found, Kind: '' },
      { ...found, Address: '' },
      { ...found, Weights: { Passing: 2, Warning: 1 } },
      { ...found, Proxy: { ...found.Proxy, Upstreams: null } },
      { ...found, Proxy: { ...found.Proxy, DestinationServiceID: 'digits-2' } },
      { ...found, Proxy: { ...found.Proxy, LocalServicePort: 1 } },
    ])
      assert.ok(!isSame(wanted, other), JSON.stringify(other));
  });
});
