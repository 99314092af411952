import assert from 'node:assert/strict';
import {
  proxiesOf,
  readAdoptedProxy,
} from '../../../../../sidecar/discovery/consul/registration/adopted-proxy.js';

/** As a Consul 1.8.7 answers for `sidecar_service` of a service `digits` with the id `d1`. */
const ANSWER = {
  Kind: 'connect-proxy',
  ID: 'd1-sidecar-proxy',
  Service: 'digits-sidecar-proxy',
  Port: 21_000,
  Address: '',
  Proxy: {
    DestinationServiceName: 'digits',
    DestinationServiceID: 'd1',
    LocalServiceAddress: '127.0.0.1',
    LocalServicePort: 7001,
    Config: {},
    Upstreams: [{ DestinationType: 'service', DestinationName: 'ocr', LocalBindPort: 9001, MeshGateway: {} }],
    MeshGateway: {},
    Expose: {},
  },
};

const read = (change: object = {}, proxy: object = {}) =>
  readAdoptedProxy(
    Buffer.from(JSON.stringify({ ...ANSWER, ...change, Proxy: { ...ANSWER.Proxy, ...proxy } })),
  );

function good(change: object = {}, proxy: object = {}) {
  const found = read(change, proxy);
  assert.ok(typeof found !== 'string', String(found));
  return found;
}

const tcp = (host: string, port: number) => ({ kind: 'tcp', host, port });

describe('the registration of a proxy', () => {
  it('says the service, both listeners, and the upstreams', () => {
    assert.deepEqual(good(), {
      id: 'd1-sidecar-proxy',
      service: 'digits',
      listen: tcp('0.0.0.0', 21_000),
      local: tcp('127.0.0.1', 7001),
      upstreams: [{ name: 'ocr', service: 'ocr', listen: tcp('127.0.0.1', 9001) }],
      unapplied: [],
    });
  });

  it('listens at its address, unless bind_address and bind_port say otherwise', () => {
    assert.deepEqual(good({ Address: '10.0.0.7' }).listen, tcp('10.0.0.7', 21_000));
    const Config = { bind_address: '127.0.0.2', bind_port: 21_001, protocol: 'grpc' };
    const bound = good({ Address: '10.0.0.7' }, { Config });
    assert.deepEqual(bound.listen, tcp('127.0.0.2', 21_001));
    assert.deepEqual(bound.unapplied, []);
  });

  it('without a port of the service says nothing of where that listens', () => {
    assert.equal(good({}, { LocalServicePort: 0 }).local, undefined);
  });

  it('may name sockets, as of Consul 1.10', () => {
    const Upstreams = [{ DestinationName: 'ocr', LocalBindSocketPath: '/run/ocr.sock' }];
    const found = good({}, { LocalServiceSocketPath: '/run/digits.sock', Upstreams });
    assert.deepEqual(found.local, { kind: 'unix', path: '/run/digits.sock' });
    assert.deepEqual(found.upstreams[0]!.listen, { kind: 'unix', path: '/run/ocr.sock' });
  });

  it('gives an upstream in a second datacenter a name of its own', () => {
    const here = { DestinationName: 'ocr', LocalBindPort: 9001 };
    const there = { ...here, Datacenter: 'dc2', LocalBindPort: 9002, Config: { connect_timeout_ms: 77 } };
    const { upstreams, unapplied } = good({}, { Upstreams: [here, there] });
    assert.deepEqual(upstreams[1], {
      name: 'ocr-dc2',
      service: 'ocr',
      datacenter: 'dc2',
      listen: tcp('127.0.0.1', 9002),
      connectTimeoutMs: 77,
    });
    assert.deepEqual(unapplied, []);
  });

  it('has each part that is not applied in a sentence', () => {
    const { unapplied, upstreams } = good(
      {},
      {
        Mode: 'transparent',
        Config: { envoy_stats_tags: [] },
        MeshGateway: { Mode: 'local' },
        Expose: { Checks: true },
        Upstreams: [
          { DestinationName: 'q', DestinationType: 'prepared_query', LocalBindPort: 1 },
          { DestinationName: 'nowhere' },
          {
            DestinationName: 'ocr',
            LocalBindPort: 2,
            Config: { envoy_cluster_json: '{}', limits: {} },
            MeshGateway: { Mode: 'remote' },
          },
          { DestinationName: 'ocr', LocalBindPort: 3 },
        ],
      },
    );
    const title = 'the registration "d1-sidecar-proxy"';
    assert.deepEqual(
      upstreams.map(({ name }) => name),
      ['ocr'],
    );
    assert.deepEqual(unapplied, [
      `${title}: Proxy.Config.envoy_stats_tags is not applied.`,
      `${title}: Proxy.Mode is not applied.`,
      `${title}: Proxy.MeshGateway is not applied.`,
      `${title}: Proxy.Expose is not applied.`,
      `${title}: the upstream "q" is a "prepared_query" and is left out.`,
      `${title}: the upstream "nowhere" has no port and is left out.`,
      `${title}: the upstream "ocr": Config.envoy_cluster_json is not applied.`,
      `${title}: the upstream "ocr": MeshGateway is not applied.`,
      `${title}: the upstream "ocr" is there twice; the first counts.`,
    ]);
  });

  it('of another kind, without a destination, or without a port is none', () => {
    assert.match(String(read({ Kind: '' })), /is a service, no proxy; expected a connect-proxy/);
    assert.match(String(read({ Kind: 'mesh-gateway' })), /is of the kind "mesh-gateway"/);
    assert.match(String(read({}, { DestinationServiceName: '' })), /has no Proxy.DestinationServiceName/);
    for (const Port of [0, -1, 65_536, 1.5, '80', null])
      assert.match(String(read({ Port })), /has no port; expected one from 1 to 65535/);
  });

  it('with fields of any type is read or refused, and never throws', () => {
    for (const value of [null, 7, 'x', [], [null], { Mode: 3 }])
      for (const field of Object.keys(ANSWER.Proxy))
        assert.doesNotThrow(() => read({}, { [field]: value }), `${field}: ${JSON.stringify(value)}`);
    assert.throws(() => readAdoptedProxy(Buffer.from('<html>')), /the agent's answer is not JSON/);
  });

  it('is bounded: of a thousand upstreams 256 are read', () => {
    const Upstreams = Array.from({ length: 1000 }, (_, i) => ({
      DestinationName: `u${i}`,
      LocalBindPort: 1 + i,
    }));
    const { upstreams, unapplied } = good({}, { Upstreams });
    assert.equal(upstreams.length, 256);
    assert.match(unapplied[0]!, /has 1000 entries; those after 256 are left out/);
  });
});

describe('the proxies of a service', () => {
  it('are the connect-proxies with its id as their destination', () => {
    const services = {
      b: { Kind: 'connect-proxy', Proxy: { DestinationServiceID: 'd1' } },
      a: { Kind: 'connect-proxy', Proxy: { DestinationServiceID: 'd1' } },
      c: { Kind: 'connect-proxy', Proxy: { DestinationServiceID: 'd2' } },
      d1: { Kind: '', Proxy: { DestinationServiceID: 'd1' } },
      odd: null,
    };
    assert.deepEqual(proxiesOf('d1', Buffer.from(JSON.stringify(services))), ['a', 'b']);
    assert.throws(() => proxiesOf('d1', Buffer.from('[]')), /is not an object/);
  });
});
