/** What files say of Consul, and what is wrong with it. */
import assert from 'node:assert/strict';
import type { ConsulConfig } from '../../../../../sidecar/config/model.js';
import { plainConsul } from '../../../../../sidecar/config/options/consul/consul.js';
import { plainDiscovery } from '../../../../../sidecar/config/options/consul/discovery.js';
import {
  meshConfig,
  meshProblems,
  meshWarnings,
  refusing,
  sidecarConfig,
  sidecarProblems,
  sidecarWarnings,
} from '../../../../kit/config/problems-of.js';

const INBOUND = 'inbound: {listen: "10.0.0.7:9443", local: "unix:/m"}';
const OUTBOUND = 'outbound: {upstreams: {u: {listen: "127.0.0.1:1"}}}';
const FILES = 'identity: {cert: c, key: k, roots: r}';

const withBlock = (block: string) => `service: s\nconsul: ${block}\n${INBOUND}\n${OUTBOUND}`;
const withUpstream = (block: string) =>
  `service: s\nconsul: {}\noutbound: {upstreams: {u: {listen: "127.0.0.1:1", ${block}}}}`;

const withInbound = (more: string) =>
  `service: s\nconsul: {}\ninbound: {listen: "10.0.0.7:1", local: "unix:/m", ${more}}`;

const DEFAULTS: ConsulConfig = {
  tls: {},
  stale: true,
  waitMs: 300_000,
  graceMs: 60_000,
  maxAnswerBytes: 33_554_432,
  intentions: true,
  locality: { region: 'region', zone: 'zone' },
  rules: true,
  registration: {
    tags: [],
    meta: {},
    weights: { passing: 1, warning: 1 },
    deregisterAfterMs: 600_000,
    propagationMs: 2_000,
  },
};

describe('a sidecar on Consul', () => {
  it('needs an empty block and nothing else: identity, peers and intentions come from there', () => {
    const config = sidecarConfig(withBlock('{}'));
    assert.deepEqual(config.consul, DEFAULTS);
    assert.deepEqual(config.consul, plainConsul());
    assert.deepEqual(config.identity, { kind: 'consul' });
    assert.deepEqual(config.outbound!.upstreams[0]!.consul, plainDiscovery('u'));
    assert.deepEqual(config.outbound!.upstreams[0]!.endpoints, []);
    assert.deepEqual([config.inbound!.intentions, config.inbound!.defaultIntention], [[], 'deny']);
    assert.deepEqual(sidecarWarnings(withBlock('{}')), []);
  });

  it('takes everything it is told, with paths from where the file lies', () => {
    const { consul } = sidecarConfig(
      withBlock(`
  address: https://consul.internal:8501/
  token_file: token
  tls: {ca: ca.pem, cert: c.pem, key: k.pem, server_name: server.dc1.consul, verify: true}
  stale: false
  wait: 1m
  grace: 5s
  max_answer: 1MiB
  intentions: false
  rules: false
  registration:
    address: fd00::7
    tags: [v2, "a b"]
    meta: {team: vision}
    weights: {passing: 10, warning: 0}
    deregister_after: 1m
    propagation: 500ms
  cache: {dir: cache, keys: true}`),
    );
    assert.deepEqual(consul, {
      address: 'https://consul.internal:8501',
      tokenFile: '/etc/mesh/token',
      tls: {
        ca: '/etc/mesh/ca.pem',
        cert: '/etc/mesh/c.pem',
        key: '/etc/mesh/k.pem',
        serverName: 'server.dc1.consul',
        verify: true,
      },
      stale: false,
      waitMs: 60_000,
      graceMs: 5_000,
      maxAnswerBytes: 1_048_576,
      intentions: false,
      locality: { region: 'region', zone: 'zone' },
      rules: false,
      registration: {
        address: 'fd00::7',
        tags: ['v2', 'a b'],
        meta: { team: 'vision' },
        weights: { passing: 10, warning: 0 },
        deregisterAfterMs: 60_000,
        propagationMs: 500,
      },
      cache: { dir: '/etc/mesh/cache', keys: true },
    } satisfies ConsulConfig);
  });

  it('registers unless told not to', () => {
    assert.ok(!('registration' in sidecarConfig(withBlock('{registration: none}')).consul!));
    assert.deepEqual(sidecarConfig(withBlock('{registration: {}}')).consul, DEFAULTS);
    assert.deepEqual(sidecarConfig(withBlock('{cache: {dir: /c}}')).consul!.cache, {
      dir: '/c',
      keys: false,
    });
  });

  it('may have certificates from files, endpoints of its own and intentions of its own', () => {
    const config = sidecarConfig(
      `service: s\n${FILES}\ntrust_domain: t\ndatacenter: d\nconsul: {intentions: false}
inbound: {listen: "10.0.0.7:9443", local: "unix:/m", intentions: [{from: a, to: s, action: allow}]}
outbound: {upstreams: {u: {listen: "127.0.0.1:1", endpoints: ["10.0.0.1:1"]}}}`,
    );
    assert.equal(config.identity.kind, 'files');
    assert.equal(config.inbound!.intentions.length, 1);
    assert.ok(!('discovery' in config.outbound!.upstreams[0]!));
  });

  it('may be in plaintext', () =>
    sidecarConfig(
      'service: s\nconsul: {}\ninbound: {listen: "10.0.0.7:1", local: "unix:/m", mtls: off}\noutbound: {upstreams: {u: {listen: "127.0.0.1:1", tls: plaintext}}}',
    ));

  it('says which instances it wants, and where else to look', () => {
    const [upstream] = sidecarConfig(
      withUpstream(
        'consul: {service: digits, datacenter: dc1, tags: [v2], meta: {tier: gold}, failover: [{datacenter: dc2}, {datacenter: dc2, tags: []}, {service: digits-lite}]}',
      ),
    ).outbound!.upstreams;
    const subset = { tags: ['v2'], meta: { tier: 'gold' } };
    assert.deepEqual(upstream!.consul, {
      service: 'digits',
      datacenter: 'dc1',
      ...subset,
      failover: [
        { service: 'digits', datacenter: 'dc2', ...subset },
        { service: 'digits', datacenter: 'dc2', tags: [], meta: { tier: 'gold' } },
        { service: 'digits-lite', tags: [], meta: {} },
      ],
    });
  });
});

const pairs = (count: number) => `{${Array.from({ length: count }, (_, i) => `k${i}: "${i}"`).join(', ')}}`;

describe('what is refused of a sidecar on Consul', () => {
  const refused = refusing(sidecarProblems, '');
  const ofBlock = refusing((block) => sidecarProblems(withBlock(block)), '');
  const ofUpstream = refusing((more) => sidecarProblems(withUpstream(more)), '');
  const ofInbound = refusing((more) => sidecarProblems(withInbound(more)), '');
  refused('no endpoints and no Consul', `service: s\n${FILES}\n${OUTBOUND}`).because(
    /^3: outbound\.upstreams\.u\.endpoints: missing; expected at least one endpoint, or a block consul at the top$/,
  );
  ofUpstream('endpoints from both sides', 'endpoints: ["10.0.0.1:1"], consul: {}')
    .because(/upstreams\.u\.consul: found beside endpoints; expected only one of them$/)
    .also('a datacenter with a dot', 'consul: {datacenter: eu.west}')
    .because(/consul\.datacenter: found "eu\.west"; expected the name of a datacenter/)
    .also('more wanted metadata than an instance can have', `consul: {meta: ${pairs(65)}}`)
    .because(/consul\.meta: found 65 pairs; expected at most 64, as Consul takes no more$/)
    .also('a failover to where it comes from', 'consul: {tags: [a, b], failover: [{tags: [b, a]}]}')
    .because(/failover\[0\]: found the same target again, as in the upstream itself; expected each once$/)
    .also('a failover to its own name', 'consul: {failover: [{service: u}]}')
    .because(/failover\[0\]: found the same target again, as in the upstream itself/)
    .also('a ring without a key', 'balance: {kind: ring-hash}')
    .because(/balance\.key: missing; expected a metadata key, or hash_on, by which ring-hash chooses$/)
    .also('a key without a ring', 'balance: {kind: round-robin, key: x}')
    .because(/balance\.key: found with round-robin, which does not read it; expected "kind: ring-hash"$/)
    .also('a key that is no metadata key', 'balance: {kind: ring-hash, key: X-User}')
    .because(/balance\.key: found "X-User"; .*; did you mean "x-user"\?$/)
    .also('a pool of nothing', 'pool: {max_endpoints: 0}')
    .because(/max_endpoints: found 0; expected a whole number from 1/);
  refused(
    'an upstream on Consul without an agent',
    `service: s\n${FILES}\noutbound: {upstreams: {u: {listen: "127.0.0.1:1", consul: {}}}}`,
  ).because(/u\.consul: found without a block consul at the top, .*; expected both or neither$/);
  ofInbound('intentions beside those of Consul', 'intentions: []').because(
    /inbound\.intentions: found beside intentions from Consul; .* set consul\.intentions to false to let this file decide$/,
  );
  ofInbound("a default beside Consul's", 'default_intention: allow')
    .because(/inbound\.default_intention: found beside intentions from Consul/)
    .also('golden inputs from nowhere', 'golden: {}')
    .because(/inbound\.golden\.models: missing; expected the path of a directory of models$/);
  refused("a trust domain beside the cluster's", `trust_domain: t\n${withBlock('{}')}`).because(
    /^1: trust_domain: found with an identity from Consul, whose cluster says it; expected this to be left out$/,
  );
  refused("a datacenter beside the cluster's", `datacenter: dc1\n${withBlock('{}')}`).because(
    /^1: datacenter: found with an identity from Consul/,
  );
  ofBlock('a block that is nothing', '')
    .because(/^2: consul: found nothing; expected .*; for all defaults, write \{\}$/)
    .also('a token in the file', '{token: 5ecret}')
    .because(/^2: consul\.token: unknown option; .*; did you mean "token_file"\?$/)
    .also('an address without a scheme', '{address: "127.0.0.1:8500"}')
    .because(/consul\.address: found "127\.0\.0\.1:8500"; .*; did you mean "http:\/\/127\.0\.0\.1:8500"\?$/)
    .also('a certificate without its key', '{tls: {cert: c}}')
    .because(/consul\.tls\.key: missing; expected the private key/)
    .also('a key without its certificate', '{tls: {key: c}}')
    .because(/consul\.tls\.cert: missing; expected the cert/)
    .also('keys without a place', '{cache: {keys: true}}')
    .because(/consul\.cache\.dir: missing; expected the path of a directory$/)
    .also('registration switched off by false', '{registration: false}')
    .because(/consul\.registration: found false; expected a block about the registration, or none$/)
    .also('a wildcard for peers to call', '{registration: {address: "0.0.0.0"}}')
    .because(/registration\.address: found "0\.0\.0\.0"; expected a host name or IP address without a port/)
    .also('a port with the host for peers', '{registration: {address: "[fd00::7]:9443"}}')
    .because(/registration\.address: .*; did you mean "fd00::7"\?$/)
    .also('a removal sooner than Consul does it', '{registration: {deregister_after: 59s}}')
    .because(/deregister_after: found "59s"; expected 1m to 720h$/)
    .also('no weight while passing', '{registration: {weights: {passing: 0}}}')
    .because(/weights\.passing: found 0; expected a whole number from 1 to 65535$/)
    .also("a metadata key of Consul's", '{registration: {meta: {consul-x: c}}}')
    .because(/meta\.consul-x: found a key that is reserved/)
    .also('a metadata value in 257 letters of two bytes', `{registration: {meta: {a: ${'é'.repeat(257)}}}}`)
    .because(
      /meta\.a: found 514 bytes; expected a metadata value: 0 to 512 bytes without control characters$/,
    )
    .also('a tag that is nothing', '{registration: {tags: [""]}}')
    .because(/tags\[0\]: found ""; expected a tag: 1 to 512 bytes without control characters$/)
    .also('a tag that is a number', '{registration: {tags: [2]}}')
    .because(/tags\[0\]: found 2; .*put it in quotes: "2"$/);
  ofBlock('its own listener as the agent', '{address: "http://127.0.0.1:1"}').because(
    /consul\.address: found 127\.0\.0\.1:1, which is outbound\.upstreams\.u\.listen of this same sidecar/,
  );
  ofBlock('TLS towards an address without', '{address: "http://10.0.0.1:8500", tls: {ca: a}}').because(
    /consul\.tls: found beside the address http:\/\/10\.0\.0\.1:8500, which does without TLS; expected/,
  );
  ofBlock('a wait that Consul cuts', '{wait: 11m}').because(/consul\.wait: found "11m"; expected 1s to 10m$/);
  ofBlock('a metadata key with a dot', '{registration: {meta: {a.b: c}}}').because(
    /registration\.meta\["a\.b"\]: found this as a name; expected a metadata key: letters, digits, "-" and "_", at most 128$/,
  );
  ofBlock('more metadata than there is room for', `{registration: {meta: ${pairs(49)}}}`).because(
    /registration\.meta: found 49 pairs; expected at most 48: Consul takes 64, and Outrider adds its own$/,
  );
  refused(
    'a socket that peers would be told of',
    'service: s\nconsul: {}\ninbound: {listen: "unix:/in", local: "unix:/m"}',
  ).because(/inbound\.listen: found a socket, which Consul cannot tell peers of/);
  ofUpstream(
    'a failover to the same place twice',
    'consul: {failover: [{datacenter: dc2}, {service: v}, {datacenter: dc2}]}',
  ).because(/failover\[2\]: found the same target again, as in failover\[0\]/);

  it('never shows a password', () => {
    const said = sidecarProblems(
      withBlock('{address: "http://me:5ecret@10.0.0.1:8500", token: 5ecret}'),
    ).join('\n');
    assert.match(said, /consul\.address: found a user in the address/);
    assert.doesNotMatch(said, /5ecret/);
  });

  it('reads golden inputs, a ring and a bounded pool', () => {
    const config = sidecarConfig(
      `service: s\nconsul: {}\ninbound: {listen: "10.0.0.7:1", local: "unix:/m", golden: {models: m, interval: 3s}}
outbound: {upstreams: {u: {listen: "127.0.0.1:1", balance: {kind: ring-hash, key: x-user}, pool: {max_endpoints: 9}}}}`,
    );
    assert.deepEqual(config.inbound!.golden, { models: '/etc/mesh/m', intervalMs: 3_000 });
    assert.deepEqual(config.outbound!.upstreams[0]!.balance, { kind: 'ring-hash', key: 'x-user' });
    assert.equal(config.outbound!.upstreams[0]!.pool.maxEndpoints, 9);
  });
});

describe('warnings about Consul', () => {
  const warned = refusing(sidecarWarnings, '');
  const ofBlock = refusing((block) => sidecarWarnings(withBlock(block)), '');
  ofBlock('an agent elsewhere in the clear', '{address: "http://10.0.0.1:8500"}').because(
    /consul\.address: 10\.0\.0\.1:8500 is not on this machine; everything on the way there is readable/,
  );
  ofBlock(
    'an agent that is not verified',
    '{address: "https://10.0.0.1:8501", tls: {verify: false}}',
  ).because(/consul\.tls\.verify: the certificate of the agent is not verified/);
  ofBlock('no grace', '{grace: 0s}').because(/consul\.grace: an answer that is empty by mistake/);
  warned(
    'a listener where an agent usually is',
    'service: s\nconsul: {}\noutbound: {upstreams: {u: {listen: "127.0.0.1:8500"}}}',
  ).because(/u\.listen: an agent listens at 127\.0\.0\.1:8500 unless told otherwise/);
  warned(
    'an instance that cannot be reached',
    'service: s\nconsul: {}\ninbound: {listen: "127.0.0.1:9443", local: "unix:/m"}',
  ).because(/inbound\.listen: Consul will tell peers 127\.0\.0\.1:9443, which only this machine reaches/);

  it('none for an agent here, a place that is said, or an instance that is not registered', () => {
    for (const text of [
      withBlock('{address: "http://localhost:8500"}'),
      withBlock('{address: "unix:/run/consul.sock"}'),
      'service: s\nconsul: {registration: none}\ninbound: {listen: "127.0.0.1:9443", local: "unix:/m"}',
      'service: s\nconsul: {registration: {address: "127.0.0.1"}}\ninbound: {listen: "127.0.0.1:9443", local: "unix:/m"}',
      'service: s\nconsul: {address: "http://127.0.0.1:8600"}\noutbound: {upstreams: {u: {listen: "127.0.0.1:8500"}}}',
    ])
      assert.deepEqual(sidecarWarnings(text), [], text);
  });
});

describe('a mesh on Consul', () => {
  const mesh = (block: string, upstreams = 'digits: {listen: "127.0.0.1:1"}', more = '') =>
    `services: {digits: {models: m, tags: [v1], meta: {team: vision}}}\ncaller: {name: app, upstreams: {${upstreams}}}\nconsul: ${block}\n${more}`;

  it('needs an empty block; its services may have tags and metadata', () => {
    const config = meshConfig(mesh('{}'));
    assert.deepEqual(config.consul, DEFAULTS);
    assert.deepEqual([config.services[0]!.tags, config.services[0]!.meta], [['v1'], { team: 'vision' }]);
    assert.deepEqual(config.caller.upstreams[0]!.consul, plainDiscovery('digits'));
    assert.deepEqual(meshWarnings(mesh('{}')), []);
  });

  it('may call what only Consul knows, and have intentions about it', () => {
    const config = meshConfig(
      mesh(
        '{intentions: true}',
        'faces: {listen: "127.0.0.1:1", consul: {datacenter: dc2}}',
        'intentions: [{from: app, to: faces, action: allow}]',
      ),
    );
    assert.equal(config.caller.upstreams[0]!.consul!.datacenter, 'dc2');
  });

  it('leaves upstreams without discovery where there is no Consul', () => {
    const config = meshConfig(
      'services: {digits: {models: m}}\ncaller: {name: app, upstreams: {digits: {listen: "127.0.0.1:1"}}}',
    );
    assert.ok(!('consul' in config) && !('discovery' in config.caller.upstreams[0]!));
  });

  it('warns of callers that its own intentions shut out', () => {
    const shut = mesh('{}', undefined, 'intentions: [{from: other, to: digits, action: allow}]');
    assert.match(meshProblems(shut)[0]!, /found "other", which is no service of this mesh/);
    const denied = mesh('{}', undefined, 'intentions: [{from: app, to: digits, action: deny}]');
    assert.match(meshWarnings(denied)[0]!, /no intention lets app call it/);
  });

  const refused = refusing(meshProblems);
  refused("a trust domain beside the cluster's", mesh('{}', undefined, 'trust_domain: t'))
    .because(/trust_domain: found with certificates from Consul, whose cluster says it/)
    .also("a lifetime beside the cluster's", mesh('{}', undefined, 'leaf_lifetime: 2h'))
    .because(/leaf_lifetime: found with certificates from Consul/)
    .also('an unknown service without a word where it is', mesh('{}', 'faces: {listen: "127.0.0.1:1"}'))
    .because(
      /upstreams\.faces: found no service of that name; expected one of digits, or a block consul in it for a service elsewhere$/,
    )
    .also('its own listener as the agent', mesh('{address: "http://127.0.0.1:1"}'))
    .because(/consul\.address: found 127\.0\.0\.1:1, which is caller\.upstreams\.digits\.listen/);
  refused('an address for all replicas', mesh('{registration: {address: "10.0.0.7"}}')).because(
    /consul\.registration\.address: unknown option; expected one of weights, deregister_after, propagation/,
  );
  refused(
    'an upstream on Consul without an agent',
    'services: {digits: {models: m}}\ncaller: {name: app, upstreams: {digits: {listen: "127.0.0.1:1", consul: {tags: [a]}}}}',
  ).because(/upstreams\.digits\.consul: found without a block consul at the top/);
});
