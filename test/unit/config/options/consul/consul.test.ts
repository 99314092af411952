/** What files say of Consul, and what is wrong with it. */
import assert from 'node:assert/strict';
import { parseMeshFile, parseSidecarFile } from '../../../../../sidecar/config/file/parse.js';
import type { ConsulConfig } from '../../../../../sidecar/config/model.js';
import { plainConsul } from '../../../../../sidecar/config/options/consul/consul.js';
import { plainDiscovery } from '../../../../../sidecar/config/options/consul/discovery.js';
import {
  FILE,
  meshConfig,
  meshProblems,
  sidecarConfig,
  sidecarProblems,
  warningsIn,
} from '../../../../kit/config/problems-of.js';

const INBOUND = 'inbound: {listen: "10.0.0.7:9443", local: "unix:/m"}';
const OUTBOUND = 'outbound: {upstreams: {u: {listen: "127.0.0.1:1"}}}';
const FILES = 'identity: {cert: c, key: k, roots: r}';

const withBlock = (block: string) => `service: s\nconsul: ${block}\n${INBOUND}\n${OUTBOUND}`;
const withUpstream = (block: string) =>
  `service: s\nconsul: {}\noutbound: {upstreams: {u: {listen: "127.0.0.1:1", ${block}}}}`;

const DEFAULTS: ConsulConfig = {
  tls: {},
  stale: true,
  waitMs: 300_000,
  graceMs: 60_000,
  maxAnswerBytes: 33_554_432,
  intentions: true,
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
    assert.deepEqual(warningsIn(parseSidecarFile(withBlock('{}'), FILE)), []);
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

  it('may be in plaintext', () => {
    sidecarConfig(
      'service: s\nconsul: {}\ninbound: {listen: "10.0.0.7:1", local: "unix:/m", mtls: off}\noutbound: {upstreams: {u: {listen: "127.0.0.1:1", tls: plaintext}}}',
    );
  });

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
  const cases: readonly (readonly [what: string, text: string, problem: RegExp])[] = [
    [
      'no endpoints and no Consul',
      `service: s\n${FILES}\n${OUTBOUND}`,
      /^3: outbound\.upstreams\.u\.endpoints: missing; expected at least one endpoint, or a block consul at the top$/,
    ],
    [
      'endpoints from both sides',
      withUpstream('endpoints: ["10.0.0.1:1"], consul: {}'),
      /upstreams\.u\.consul: found beside endpoints; expected only one of them$/,
    ],
    [
      'an upstream on Consul without an agent',
      `service: s\n${FILES}\noutbound: {upstreams: {u: {listen: "127.0.0.1:1", consul: {}}}}`,
      /u\.consul: found without a block consul at the top, .*; expected both or neither$/,
    ],
    [
      'intentions beside those of Consul',
      'service: s\nconsul: {}\ninbound: {listen: "10.0.0.7:1", local: "unix:/m", intentions: []}',
      /inbound\.intentions: found beside intentions from Consul; .* set consul\.intentions to false to let this file decide$/,
    ],
    [
      "a default beside Consul's",
      'service: s\nconsul: {}\ninbound: {listen: "10.0.0.7:1", local: "unix:/m", default_intention: allow}',
      /inbound\.default_intention: found beside intentions from Consul/,
    ],
    [
      "a trust domain beside the cluster's",
      `trust_domain: t\n${withBlock('{}')}`,
      /^1: trust_domain: found with an identity from Consul, whose cluster says it; expected this to be left out$/,
    ],
    [
      "a datacenter beside the cluster's",
      `datacenter: dc1\n${withBlock('{}')}`,
      /^1: datacenter: found with an identity from Consul/,
    ],
    [
      'a block that is nothing',
      withBlock(''),
      /^2: consul: found nothing; expected .*; for all defaults, write \{\}$/,
    ],
    [
      'a token in the file',
      withBlock('{token: 5ecret}'),
      /^2: consul\.token: unknown option; .*; did you mean "token_file"\?$/,
    ],
    [
      'an address without a scheme',
      withBlock('{address: "127.0.0.1:8500"}'),
      /consul\.address: found "127\.0\.0\.1:8500"; .*; did you mean "http:\/\/127\.0\.0\.1:8500"\?$/,
    ],
    [
      'its own listener as the agent',
      withBlock('{address: "http://127.0.0.1:1"}'),
      /consul\.address: found 127\.0\.0\.1:1, which is outbound\.upstreams\.u\.listen of this same sidecar/,
    ],
    [
      'TLS towards an address without',
      withBlock('{address: "http://10.0.0.1:8500", tls: {ca: a}}'),
      /consul\.tls: found beside the address http:\/\/10\.0\.0\.1:8500, which does without TLS; expected/,
    ],
    [
      'a certificate without its key',
      withBlock('{tls: {cert: c}}'),
      /consul\.tls\.key: missing; expected the private key/,
    ],
    [
      'a key without its certificate',
      withBlock('{tls: {key: c}}'),
      /consul\.tls\.cert: missing; expected the cert/,
    ],
    ['a wait that Consul cuts', withBlock('{wait: 11m}'), /consul\.wait: found "11m"; expected 1s to 10m$/],
    [
      'keys without a place',
      withBlock('{cache: {keys: true}}'),
      /consul\.cache\.dir: missing; expected the path of a directory$/,
    ],
    [
      'registration switched off by false',
      withBlock('{registration: false}'),
      /consul\.registration: found false; expected a block about the registration, or none$/,
    ],
    [
      'a wildcard for peers to call',
      withBlock('{registration: {address: "0.0.0.0"}}'),
      /registration\.address: found "0\.0\.0\.0"; expected a host name or IP address without a port/,
    ],
    [
      'a port with the host for peers',
      withBlock('{registration: {address: "[fd00::7]:9443"}}'),
      /registration\.address: .*; did you mean "fd00::7"\?$/,
    ],
    [
      'a removal sooner than Consul does it',
      withBlock('{registration: {deregister_after: 59s}}'),
      /deregister_after: found "59s"; expected 1m to 720h$/,
    ],
    [
      'no weight while passing',
      withBlock('{registration: {weights: {passing: 0}}}'),
      /weights\.passing: found 0; expected a whole number from 1 to 65535$/,
    ],
    [
      'a metadata key with a dot',
      withBlock('{registration: {meta: {a.b: c}}}'),
      /registration\.meta\["a\.b"\]: found this as a name; expected a metadata key: letters, digits, "-" and "_", at most 128$/,
    ],
    [
      "a metadata key of Consul's",
      withBlock('{registration: {meta: {consul-x: c}}}'),
      /meta\.consul-x: found a key that is reserved/,
    ],
    [
      'a metadata value in 257 letters of two bytes',
      withBlock(`{registration: {meta: {a: ${'é'.repeat(257)}}}}`),
      /meta\.a: found 514 bytes; expected a metadata value: 0 to 512 bytes without control characters$/,
    ],
    [
      'more metadata than there is room for',
      withBlock(`{registration: {meta: ${pairs(49)}}}`),
      /registration\.meta: found 49 pairs; expected at most 48: Consul takes 64, and Outrider adds its own$/,
    ],
    [
      'a tag that is nothing',
      withBlock('{registration: {tags: [""]}}'),
      /tags\[0\]: found ""; expected a tag: 1 to 512 bytes without control characters$/,
    ],
    [
      'a tag that is a number',
      withBlock('{registration: {tags: [2]}}'),
      /tags\[0\]: found 2; .*put it in quotes: "2"$/,
    ],
    [
      'a socket that peers would be told of',
      'service: s\nconsul: {}\ninbound: {listen: "unix:/in", local: "unix:/m"}',
      /inbound\.listen: found a socket, which Consul cannot tell peers of/,
    ],
    [
      'a datacenter with a dot',
      withUpstream('consul: {datacenter: eu.west}'),
      /consul\.datacenter: found "eu\.west"; expected the name of a datacenter/,
    ],
    [
      'more wanted metadata than an instance can have',
      withUpstream(`consul: {meta: ${pairs(65)}}`),
      /consul\.meta: found 65 pairs; expected at most 64, as Consul takes no more$/,
    ],
    [
      'a failover to where it comes from',
      withUpstream('consul: {tags: [a, b], failover: [{tags: [b, a]}]}'),
      /failover\[0\]: found the same target again, as in the upstream itself; expected each once$/,
    ],
    [
      'a failover to the same place twice',
      withUpstream('consul: {failover: [{datacenter: dc2}, {service: v}, {datacenter: dc2}]}'),
      /failover\[2\]: found the same target again, as in failover\[0\]/,
    ],
    [
      'a failover to its own name',
      withUpstream('consul: {failover: [{service: u}]}'),
      /failover\[0\]: found the same target again, as in the upstream itself/,
    ],
    [
      'a ring without a key',
      withUpstream('balance: {kind: ring-hash}'),
      /balance\.key: missing; expected a metadata key, by which ring-hash chooses$/,
    ],
    [
      'a key without a ring',
      withUpstream('balance: {kind: round-robin, key: x}'),
      /balance\.key: found with round-robin, which does not read it; expected "kind: ring-hash"$/,
    ],
    [
      'a key that is no metadata key',
      withUpstream('balance: {kind: ring-hash, key: X-User}'),
      /balance\.key: found "X-User"; .*; did you mean "x-user"\?$/,
    ],
    [
      'a pool of nothing',
      withUpstream('pool: {max_endpoints: 0}'),
      /max_endpoints: found 0; expected a whole number from 1/,
    ],
    [
      'golden inputs from nowhere',
      'service: s\nconsul: {}\ninbound: {listen: "10.0.0.7:1", local: "unix:/m", golden: {}}',
      /inbound\.golden\.models: missing; expected the path of a directory of models$/,
    ],
  ];
  for (const [what, text, problem] of cases) {
    it(what, () => {
      const problems = sidecarProblems(text);
      assert.equal(problems.length, 1, problems.join('\n'));
      assert.match(problems[0]!, problem);
    });
  }

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
  const cases: readonly (readonly [what: string, text: string, warning: RegExp])[] = [
    [
      'an agent elsewhere in the clear',
      withBlock('{address: "http://10.0.0.1:8500"}'),
      /consul\.address: 10\.0\.0\.1:8500 is not on this machine; everything on the way there is readable/,
    ],
    [
      'an agent that is not verified',
      withBlock('{address: "https://10.0.0.1:8501", tls: {verify: false}}'),
      /consul\.tls\.verify: the certificate of the agent is not verified/,
    ],
    ['no grace', withBlock('{grace: 0s}'), /consul\.grace: an answer that is empty by mistake/],
    [
      'a listener where an agent usually is',
      'service: s\nconsul: {}\noutbound: {upstreams: {u: {listen: "127.0.0.1:8500"}}}',
      /u\.listen: an agent listens at 127\.0\.0\.1:8500 unless told otherwise/,
    ],
    [
      'an instance that cannot be reached',
      'service: s\nconsul: {}\ninbound: {listen: "127.0.0.1:9443", local: "unix:/m"}',
      /inbound\.listen: Consul will tell peers 127\.0\.0\.1:9443, which only this machine reaches/,
    ],
  ];
  for (const [what, text, warning] of cases) {
    it(what, () => {
      const warnings = warningsIn(parseSidecarFile(text, FILE));
      assert.equal(warnings.length, 1, warnings.join('\n'));
      assert.match(warnings[0]!, warning);
    });
  }

  it('none for an agent here, a place that is said, or an instance that is not registered', () => {
    for (const text of [
      withBlock('{address: "http://localhost:8500"}'),
      withBlock('{address: "unix:/run/consul.sock"}'),
      'service: s\nconsul: {registration: none}\ninbound: {listen: "127.0.0.1:9443", local: "unix:/m"}',
      'service: s\nconsul: {registration: {address: "127.0.0.1"}}\ninbound: {listen: "127.0.0.1:9443", local: "unix:/m"}',
      'service: s\nconsul: {address: "http://127.0.0.1:8600"}\noutbound: {upstreams: {u: {listen: "127.0.0.1:8500"}}}',
    ])
      assert.deepEqual(warningsIn(parseSidecarFile(text, FILE)), [], text);
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
    assert.deepEqual(warningsIn(parseMeshFile(mesh('{}'), FILE)), []);
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
    assert.match(warningsIn(parseMeshFile(denied, FILE))[0]!, /no intention lets app call it/);
  });

  const cases: readonly (readonly [what: string, text: string, problem: RegExp])[] = [
    [
      "a trust domain beside the cluster's",
      mesh('{}', undefined, 'trust_domain: t'),
      /trust_domain: found with certificates from Consul, whose cluster says it/,
    ],
    [
      "a lifetime beside the cluster's",
      mesh('{}', undefined, 'leaf_lifetime: 2h'),
      /leaf_lifetime: found with certificates from Consul/,
    ],
    [
      'an address for all replicas',
      mesh('{registration: {address: "10.0.0.7"}}'),
      /consul\.registration\.address: unknown option; expected one of weights, deregister_after, propagation/,
    ],
    [
      'an unknown service without a word where it is',
      mesh('{}', 'faces: {listen: "127.0.0.1:1"}'),
      /upstreams\.faces: found no service of that name; expected one of digits, or a block consul in it for a service elsewhere$/,
    ],
    [
      'an upstream on Consul without an agent',
      'services: {digits: {models: m}}\ncaller: {name: app, upstreams: {digits: {listen: "127.0.0.1:1", consul: {tags: [a]}}}}',
      /upstreams\.digits\.consul: found without a block consul at the top/,
    ],
    [
      'its own listener as the agent',
      mesh('{address: "http://127.0.0.1:1"}'),
      /consul\.address: found 127\.0\.0\.1:1, which is caller\.upstreams\.digits\.listen/,
    ],
  ];
  for (const [what, text, problem] of cases) {
    it(`refuses ${what}`, () => {
      const problems = meshProblems(text);
      assert.equal(problems.length, 1, problems.join('\n'));
      assert.match(problems[0]!, problem);
    });
  }
});
