/** What a sidecar file says, and what is wrong with it. */
import assert from 'node:assert/strict';
import type { RouteConfig, UpstreamConfig } from '../../../../sidecar/config/model.js';
import {
  IDENTITY,
  MODEL_PROCESS,
  refusing,
  sidecarConfig,
  sidecarProblems,
  sidecarWarnings,
  upstreamProblems,
  upstreamWith,
} from '../../../kit/config/problems-of.js';

const INBOUND = 'inbound: {listen: "0.0.0.0:9443", local: "unix:model.sock"}';

describe('a sidecar file', () => {
  it('needs only a service, an identity and something to do; everything else has its default', () =>
    assert.deepEqual(sidecarConfig(`${IDENTITY}\n${INBOUND}`), {
      service: 's',
      instance: 's-1',
      trustDomain: 'outrider.local',
      datacenter: 'dc1',
      identity: { kind: 'files', cert: '/etc/mesh/c', key: '/etc/mesh/k', roots: '/etc/mesh/r' },
      inbound: {
        listen: { kind: 'tcp', host: '0.0.0.0', port: 9443 },
        mtls: 'strict',
        local: { kind: 'unix', path: '/etc/mesh/model.sock' },
        intentions: [],
        defaultIntention: 'deny',
        queue: { concurrency: 2, fair: true, maxWaiting: 128, maxWaitingBytes: 67_108_864 },
        loadReport: { trailers: false, outOfBand: true },
        routes: defaultRoutes('inbound'),
      },
      limits: {
        maxConnections: 1_024,
        maxConcurrentStreams: 256,
        maxHeaderBytes: 16_384,
        maxHeaderFields: 100,
        handshakeTimeoutMs: 5_000,
        handshakesPerSecond: 100,
        framesPerSecond: {
          pings: 100,
          resets: 2_000,
          settings: 20,
          windowUpdates: 50_000,
          empty: 10,
          ignored: 2_000,
          violations: 10,
        },
        memoryBudgetBytes: 100_663_296,
        replayBytesPerCall: 4_194_304,
      },
      drainTimeoutMs: 30_000,
      log: { level: 'info' },
    }));

  it('gives an upstream the defaults of the design', () => {
    const [upstream] = sidecarConfig(`${IDENTITY}\noutbound: {upstreams: {u: ${upstreamWith('')}}}`).outbound!
      .upstreams;
    assert.deepEqual(upstream, {
      name: 'u',
      listen: { kind: 'tcp', host: '127.0.0.1', port: 1 },
      tls: 'mesh',
      endpoints: [{ address: { kind: 'tcp', host: '10.0.0.1', port: 1 }, weight: 1, id: '10.0.0.1:1' }],
      balance: { kind: 'least-loaded' },
      ejection: {
        mode: 'enforce',
        consecutiveFaults: 5,
        baseMs: 30_000,
        maxMs: 300_000,
        jitter: 0.1,
        detectors: {
          consecutive: { mode: 'enforce' },
          modelUnavailable: { mode: 'enforce' },
          successRatio: { mode: 'enforce', below: 0.8, minCalls: 5 },
          successRate: { mode: 'enforce', factor: 1.9, minPeers: 5, minCalls: 100 },
          failureRatio: { mode: 'off', above: 0.85, minPeers: 5, minCalls: 50 },
          latency: { mode: 'enforce', factor: 3, minCalls: 20 },
          invalidOutput: { mode: 'off', above: 0.5, minSamples: 5, sampleRatio: 0.05 },
          shortLived: { mode: 'enforce', minConnections: 2 },
        },
      },
      foresight: { mode: 'observe' },
      pool: {
        maxEndpoints: 128,
        connections: 1,
        connectTimeoutMs: 1_000,
        pingIntervalMs: 10_000,
        pingTimeoutMs: 5_000,
        maxAgeMs: 3_600_000,
      },
      budget: { ratio: 0.2, perSecond: 3 },
      loadReports: { intervalMs: 1_000, forward: false },
      routes: defaultRoutes('outbound'),
    } satisfies UpstreamConfig);
  });

  it('gives a model process its defaults, and an empty command when the command line names it', () =>
    assert.deepEqual(sidecarConfig(`${IDENTITY}\n${INBOUND}\nmodel: {}`).model, {
      command: [],
      ...MODEL_PROCESS,
    }));

  it('leaves what is absent absent', () => {
    const config = sidecarConfig(`${IDENTITY}\n${INBOUND}`);
    for (const key of ['admin', 'outbound', 'model']) assert.ok(!(key in config), key);
  });

  it('is frozen to the last leaf', () => {
    const config = sidecarConfig(
      `${IDENTITY}\noutbound: {upstreams: {u: ${upstreamWith('routes: [{methods: ["*"]}]')}}}`,
    );
    const check = (value: unknown): void => {
      if (typeof value !== 'object' || value === null) return;
      assert.ok(Object.isFrozen(value));
      Object.values(value).forEach(check);
    };
    check(config);
  });

  it('reads the shared listener, with the key only where it is used', () => {
    const text = (shared: string) =>
      `${IDENTITY}\noutbound: {shared: ${shared}, upstreams: {u: {endpoints: ["10.0.0.1:1"]}}}`;
    assert.deepEqual(
      sidecarConfig(text('{listen: "127.0.0.1:1", by: metadata, metadata_key: to}')).outbound!.shared,
      { listen: { kind: 'tcp', host: '127.0.0.1', port: 1 }, by: 'metadata', metadataKey: 'to' },
    );
    assert.equal(sidecarConfig(text('{listen: "127.0.0.1:1"}')).outbound!.shared!.by, 'authority');
    assert.match(
      sidecarProblems(text('{listen: "127.0.0.1:1", metadata_key: to}'))[0]!,
      /expected "by: metadata"/,
    );
    assert.match(
      sidecarProblems(text('{listen: "127.0.0.1:1", by: metadata, metadata_key: To}'))[0]!,
      /did you mean "to"\?/,
    );
    assert.match(
      sidecarProblems(text('{listen: "127.0.0.1:1", by: metadata, metadata_key: grpc-timeout}'))[0]!,
      /does not begin with/,
    );
  });

  it('says everything that is wrong at once, in the order of the file, each with line, path and what was meant', () =>
    assert.deepEqual(
      sidecarProblems(
        [
          'servce: thumbnails',
          'identity: {cert: a, key: b}',
          'admin: 9901',
          'inbound:',
          '  listen: ":9443"',
          '  local: unix:/m',
          '  mtls: stricd',
          '  intentions:',
          '    - {from: web, to: thumbnails, action: allow}',
          '    - {form: web, to: thumbnails, action: maybe}',
          '  queue: {concurrency: 0, max_waiting_bytes: 64MB}',
          '  routes:',
          '    - {methods: "*", timeout: 15}',
          'limits: {max_connections: 1}',
          'drain_timeout: soon',
        ].join('\n'),
      ),
      [
        '1: service: missing; expected the name of a service: lower-case letters, digits, "-", "_" and ".", at most 63',
        '1: servce: unknown option; expected one of service, instance, trust_domain, datacenter, identity, consul, admin, admin_token_file, observe, drain_timeout, state_dir, log, access_log, traces, metrics, audit, fault_injection, limits, inbound, scaler, outbound, model; did you mean "service"?',
        '2: identity.roots: missing; expected the path of the root certificates',
        '3: admin: found 9901; expected an address such as "127.0.0.1:8800", "[::1]:8800" or "unix:/path/to.sock"; did you mean "127.0.0.1:9901"?',
        '5: inbound.listen: found ":9443"; expected an address such as "127.0.0.1:8800", "[::1]:8800" or "unix:/path/to.sock"; did you mean "127.0.0.1:9443" (this machine only) or "0.0.0.0:9443" (every interface)?',
        '7: inbound.mtls: found "stricd"; expected one of strict, permissive, off; did you mean "strict"?',
        '10: inbound.intentions[1].from: missing; expected the name of a service, or "*" for all',
        '10: inbound.intentions[1].action: found "maybe"; expected one of allow, deny',
        '10: inbound.intentions[1].form: unknown option; expected one of from, to, action, models, control_methods; did you mean "from"?',
        '11: inbound.queue.concurrency: found 0; expected a whole number from 1 to 10000, or auto',
        '11: inbound.queue.max_waiting_bytes: found "64MB"; expected a size with its unit, such as "512B", "64KiB", "64MiB" or "1GiB"; did you mean "64MiB"?',
        '13: inbound.routes[0].methods: found "*"; expected a list of methods; did you mean [*]?',
        '13: inbound.routes[0].timeout: found 15; expected a duration with its unit, such as "250ms", "15s", "5m" or "1h", or none; did you mean "15ms" or "15s"?',
        '14: limits.max_connections: found 1; expected a whole number from 8 to 1000000',
        '15: drain_timeout: found "soon"; expected a duration with its unit, such as "250ms", "15s", "5m" or "1h"',
      ],
    ));

  it('refuses to deny for another service, and warns of an intention that has no effect here', () => {
    const file = (more: string) =>
      `service: digits\nidentity: {cert: a, key: b, roots: c}\ninbound: {listen: "0.0.0.0:2", local: "unix:/m", default_intention: allow, intentions: [${more}]}`;
    assert.deepEqual(sidecarProblems(file('{from: intern, to: digts, action: deny}')), [
      '3: inbound.intentions[0].to: found "digts"; expected "digits" or "*", as this file is of digits alone',
    ]);
    const two = file('{from: a, to: digits, action: deny}, {from: b, to: "*", action: deny}');
    assert.equal(sidecarConfig(two).inbound?.intentions.length, 2);
    assert.deepEqual(sidecarWarnings(file('{from: a, to: other, action: allow}')), [
      '3: inbound.intentions[0].to: this file is of digits alone, so that what is about "other" has no effect',
    ]);
  });

  it('scales only what is asked for its load', () => {
    const file = (first: string, second: string) =>
      `${IDENTITY}\nscaler: {listen: "127.0.0.1:9"}\noutbound: {upstreams: {u: ${upstreamWith(first)}, w: ${upstreamWith(second).replace(':1"', ':2"')}}}`;
    const [plain, silent] = ['tls: plaintext', 'load_reports: {interval: none}'];
    assert.deepEqual(sidecarProblems(file(plain, silent)), [
      '3: scaler: found without an upstream that is asked for its load; expected one with "tls: mesh" and load_reports.interval',
    ]);
    assert.equal(sidecarConfig(file(plain, '')).scaler?.listen.kind, 'tcp');
  });

  it('says where a block is expected and nothing, text or a list was found', () => {
    assert.match(
      sidecarProblems(`${IDENTITY}\ninbound:`)[0]!,
      /^3: inbound: found nothing; expected a block .*; for all defaults, write \{\}$/,
    );
    assert.match(sidecarProblems(`${IDENTITY}\ninbound: [a]`)[0]!, /inbound: found a list; expected a block/);
    assert.match(
      upstreamProblems(upstreamWith('balance: round-robin'))[0]!,
      /^balance: found "round-robin"; .*; did you mean \{ kind: round-robin \}\?$/,
    );
  });

  it('asks for quotes where a number or a word reads as something else', () => {
    assert.match(
      sidecarProblems(`service: 007\n${INBOUND}`)[0]!,
      /found 007; .*; if this is a text, put it in quotes: "007"$/,
    );
    assert.match(
      sidecarProblems(`${IDENTITY}\n${INBOUND}\nmodel: {env: {DEBUG: true}}`)[0]!,
      /model\.env\.DEBUG: found true; .*put it in quotes: "true"$/,
    );
  });

  it('quotes keys that are no plain words, so that they cannot pass for something else', () =>
    assert.match(
      sidecarProblems(`${IDENTITY}\n${INBOUND}\n"a.b\\nc": 1`)[0]!,
      /^4: \["a\.b\\nc"\]: unknown option/,
    ));

  for (const text of ['[a]', 'a', '5', '{}'])
    it(`refuses ${text} as a whole`, () => assert.ok(sidecarProblems(text).length > 0));

  it('names the other command when a mesh file is given', () =>
    assert.deepEqual(sidecarProblems('services: {}\ncaller: {}'), [
      '1: found a mesh file; expected a sidecar file; for a whole mesh use "outrider up"',
    ]));
});

describe('rules between the options of a sidecar file', () => {
  const refused = refusing(sidecarProblems, 'refuses a sidecar that ');
  const ofFile = refusing((text) => sidecarProblems(`${IDENTITY}\n${text}`), 'refuses a sidecar that ');
  refused('has nothing to do', IDENTITY).because(/found neither inbound nor outbound/);
  ofFile(
    'has a model that cannot be called',
    `outbound: {upstreams: {u: ${upstreamWith('')}}}\nmodel: {command: [x]}`,
  ).because(/model: found a model process without inbound/);
  ofFile(
    'has two upstreams that are one variable to its model',
    `${INBOUND}\noutbound: {upstreams: {u-1: ${upstreamWith('')}, u.1: {listen: "127.0.0.1:2", endpoints: ["10.0.0.1:1"]}}}\nmodel: {command: [x]}`,
  ).because(/upstreams\["u\.1"\]: found beside u-1, and both are OUTRIDER_UPSTREAM_U_1 to the model/);
  refused('is strict without an identity', `service: s\n${INBOUND}`)
    .because(/inbound\.mtls: found strict without an identity/)
    .also('calls the mesh without an identity', `service: s\noutbound: {upstreams: {u: ${upstreamWith('')}}}`)
    .because(/u\.tls: found mesh without an identity/);
  refused(
    'is permissive without an identity',
    'service: s\ninbound: {listen: "127.0.0.1:1", local: "unix:/m", mtls: permissive}',
  ).because(/found permissive without an identity/);
  ofFile('has no upstream', 'outbound: {upstreams: {}}').because(/outbound\.upstreams: found none/);
  ofFile(
    'has an upstream that the application cannot reach',
    'outbound: {upstreams: {u: {endpoints: ["10.0.0.1:1"]}}}',
  ).because(/u\.listen: missing; expected an address, or a block shared/);
  ofFile('has two listeners at one address', `admin: 0.0.0.0:9443\n${INBOUND}`)
    .because(/inbound\.listen: found 0\.0\.0\.0:9443, which admin takes already/)
    .also('serves metrics where peers call', `observe: 127.0.0.1:9443\n${INBOUND}`)
    .because(/inbound\.listen: found .*:9443, which observe takes already/)
    .also('has a token for no port', `admin_token_file: token\n${INBOUND}`)
    .because(/admin_token_file: found without admin/)
    .also('would serve itself', 'inbound: {listen: "0.0.0.0:80", local: "127.0.0.1:80"}')
    .because(/inbound\.local: found 127\.0\.0\.1:80, which is inbound\.listen of this same sidecar/)
    .also('has models by name, and none listed', `${INBOUND}\nmodel: {command: [x], isolation: shared}`)
    .because(/model\.isolation: found without inbound\.golden/);
  ofFile(
    'would call itself',
    'outbound: {upstreams: {u: {listen: "127.0.0.1:1", endpoints: ["localhost:1"]}}}',
  ).because(/endpoints\[0\]: found localhost:1, which is outbound\.upstreams\.u\.listen/);
  ofFile(
    'has processes that do not know their models',
    'inbound: {listen: "127.0.0.1:1", local: "unix:/m", golden: {models: /m}}\nmodel: {command: [x], isolation: process}',
  ).because(/model\.command: found without \{model\}/);
  ofFile(
    'has processes that do not know their versions',
    'inbound: {listen: "127.0.0.1:1", local: "unix:/m", golden: {models: /m}}\nmodel: {command: [x, "{model}"], isolation: process, versions: all}',
  ).because(/model\.command: found without \{version\}/);
  ofFile(
    'has instances of a server that has its models itself',
    'inbound: {listen: "127.0.0.1:1", local: "unix:/m"}\nmodel: {command: [x], instances: 2}',
  ).because(/model\.instances: found without isolation: process/);
  ofFile(
    'has processes that would listen at the same port',
    'inbound: {listen: "127.0.0.1:1", local: "127.0.0.1:2", golden: {models: /m}}\nmodel: {command: [x, "{model}"], isolation: process}',
  ).because(/inbound\.local: found a port; expected a socket/);
  ofFile(
    'names a model that it does not have',
    'inbound: {listen: "127.0.0.1:1", local: "unix:/m"}\nmodel: {command: [x, "{model}"]}',
  ).because(/model\.command: found \{model\} without isolation: process/);
  ofFile(
    'replays more than it may hold',
    `${INBOUND}\nlimits: {memory_budget: 16MiB, replay_bytes_per_call: 17MiB}`,
  ).because(/replay_bytes_per_call: found 17MiB; expected at most memory_budget \(16MiB\)/);

  it('lets another machine use the same port as a listener for every interface', () =>
    sidecarConfig(
      `${IDENTITY}\n${INBOUND}\noutbound: {upstreams: {u: {listen: "127.0.0.1:1", endpoints: ["10.0.0.7:9443"]}}}`,
    ));

  it('lets any number of listeners take any free port', () =>
    sidecarConfig(`${IDENTITY}\nadmin: 127.0.0.1:0\ninbound: {listen: "127.0.0.1:0", local: "unix:/m"}`));
});

describe('rules of an upstream', () => {
  const refused = refusing(upstreamProblems);
  const ofEndpoints = refusing((list) => upstreamProblems(`{listen: "127.0.0.1:1", endpoints: [${list}]}`));
  const ofUpstream = refusing((more) => upstreamProblems(upstreamWith(more)));
  ofEndpoints('no endpoint', '').because(/^endpoints: found an empty list; expected at least one endpoint$/);
  refused('no list of endpoints', '{listen: "127.0.0.1:1"}').because(
    /^endpoints: missing; expected at least one endpoint, or a block consul at the top$/,
  );
  ofEndpoints('only weights of zero', '{address: "10.0.0.1:1", weight: 0}')
    .because(/^endpoints: found only weights of 0/)
    .also('a negative weight', '{address: "10.0.0.1:1", weight: -1}')
    .because(/weight: found -1; expected a number from 0/)
    .also('an infinite weight', '{address: "10.0.0.1:1", weight: .inf}')
    .because(/weight: found \.inf; expected a number/)
    .also('an endpoint that is a number', '5')
    .because(/^endpoints\[0\]: found 5; expected an address, or a block/)
    .also('one endpoint twice', '"10.0.0.1:1", {address: "10.0.0.1:1"}')
    .because(/^endpoints\[1\]: found 10\.0\.0\.1:1 again, as in endpoints\[0\]/)
    .also('one id twice', '{address: "10.0.0.1:1", id: a}, {address: "10.0.0.2:1", id: a}')
    .because(/^endpoints\[1\]\.id: found "a" again/);
  ofEndpoints('an endpoint at port 0', '"10.0.0.1:0"').because(/expected a port from 1 to 65535/);
  ofUpstream('an ejection that ends before it begins', 'ejection: {base: 1m, max: 30s}')
    .because(/^ejection\.max: found 30s; expected at least base \(1m\)$/)
    .also('an ejection longer than its default bound', 'ejection: {base: 10m}')
    .because(/^ejection\.max: found 5m; expected at least base \(10m\)$/)
    .also('a ratio in percent', 'budget: {ratio: 20}')
    .because(/^budget\.ratio: found 20; expected a ratio from 0 to 1$/)
    .also('a timeout of nothing', 'routes: [{methods: ["*"], timeout: 0ms}]')
    .because(/timeout: found "0ms"; expected 1ms to 24h, or none$/)
    .also('no connection', 'pool: {connections: 0}')
    .because(/^pool\.connections: found 0; expected a whole number from 1 to 64$/)
    .also('half a connection', 'pool: {connections: 1.5}')
    .because(/^pool\.connections: found 1\.5; expected a whole number/)
    .also('an unknown way to balance', 'balance: {kind: random}')
    .because(/^balance\.kind: found "random"; expected one of least-loaded, round-robin, ring-hash, prefix$/)
    .also('a ring without a key', 'balance: {kind: ring-hash}')
    .because(/^balance\.key: missing; expected a metadata key, or hash_on/)
    .also('a ring with two keys', 'balance: {kind: ring-hash, key: x, hash_on: {parameter: y}}')
    .because(/^balance\.hash_on: found beside key; expected only one of them$/)
    .also('a key that nothing reads', 'balance: {kind: round-robin, hash_on: {parameter: y}}')
    .because(/^balance\.hash_on: found with round-robin, which does not read it; expected "kind: ring-hash"$/)
    .also('a parameter without a name', 'balance: {kind: ring-hash, hash_on: {parameter: ""}}')
    .because(/^balance\.hash_on\.parameter: found ""; expected the name of a parameter/)
    .also('a hash of nothing', 'balance: {kind: ring-hash, hash_on: {}}')
    .because(
      /^balance\.hash_on\.parameter: missing; expected the name of a parameter, "model: true", or a block prompt$/,
    )
    .also('a hash of two things', 'balance: {kind: ring-hash, hash_on: {model: true, parameter: y}}')
    .because(/^balance\.hash_on\.model: found beside parameter; expected only one of them$/)
    .also('a model that is not hashed', 'balance: {kind: ring-hash, hash_on: {model: false}}')
    .because(
      /^balance\.hash_on\.parameter: missing; expected the name of a parameter, "model: true", or a block prompt$/,
    )
    .also(
      'a prompt beside a parameter',
      'engine: vllm, balance: {kind: ring-hash, hash_on: {parameter: y, prompt: {}}}',
    )
    .because(/^balance\.hash_on\.prompt: found beside parameter or model; expected only one of them$/)
    .also('a prompt of no token', 'engine: vllm, balance: {kind: ring-hash, hash_on: {prompt: {tokens: 0}}}')
    .because(/^balance\.hash_on\.prompt\.tokens: found 0; expected a whole number from 1 to 8192$/)
    .also('a prompt that nothing can read', 'balance: {kind: ring-hash, hash_on: {prompt: {}}}')
    .because(/^balance\.hash_on\.prompt: found without engine; expected "engine" at the upstream/)
    .also('prefixes that nothing can read', 'balance: {kind: prefix}')
    .because(/^balance\.kind: found prefix without engine; expected "engine" at the upstream/)
    .also('no prefix that is remembered', 'engine: vllm, balance: {kind: prefix, cache_tokens: 0}')
    .because(/^balance\.cache_tokens: found 0; expected a whole number from 1024 to 67108864$/)
    .also('tokens that nothing remembers', 'balance: {kind: least-loaded, cache_tokens: 4096}')
    .because(
      /^balance\.cache_tokens: found with least-loaded, which does not read it; expected "kind: prefix"$/,
    )
    .also('a key beside prefixes', 'engine: vllm, balance: {kind: prefix, key: x}')
    .because(/^balance\.key: found with prefix, which does not read it; expected "kind: ring-hash"$/);

  it('hears rules between options even when single options are wrong', () =>
    assert.deepEqual(
      upstreamProblems(upstreamWith('ejection: {base: 1m, max: 30s, jitter: 5, mode: off}')).map(
        (line) => line.split(':')[0],
      ),
      ['ejection.mode', 'ejection.jitter', 'ejection.max'],
    ));
});

describe('warnings about a sidecar file', () => {
  const plain = refusing(sidecarWarnings, 'says ', ', and accepts it');
  const warned = refusing((text) => sidecarWarnings(`${IDENTITY}\n${text}`), 'says ', ', and accepts it');
  warned(
    'an admin page for every client',
    'admin: 0.0.0.0:1\ninbound: {listen: "0.0.0.0:2", local: "unix:/m", default_intention: allow}',
  ).because(/^3: admin: a client that reaches 0\.0\.0\.0:1 can read and drain/);
  warned(
    'an admin page for every client, with a token',
    'admin: 0.0.0.0:1\nadmin_token_file: t\ninbound: {listen: "0.0.0.0:2", local: "unix:/m", default_intention: allow}',
  ).because(
    /^3: admin: a client that reaches 0\.0\.0\.0:1 can read all .*; only changes ask for the token, which crosses the network in plaintext$/,
  );
  warned(
    'a listener that lends its identity to every client',
    'outbound: {upstreams: {u: {listen: "0.0.0.0:1", endpoints: ["10.0.0.1:1"]}}}',
  ).because(/u\.listen: a client that reaches 0\.0\.0\.0:1 calls with this sidecar's identity/);
  warned(
    'plaintext callers',
    'inbound: {listen: "0.0.0.0:2", local: "unix:/m", mtls: permissive, default_intention: allow}',
  ).because(/mtls: plaintext callers are let in/);
  plain(
    'no proof of which service calls',
    'service: s\ninbound: {listen: "0.0.0.0:2", local: "unix:/m", mtls: off, default_intention: allow}',
  ).because(/mtls: callers are not authenticated/);
  warned(
    'plaintext that leaves the machine',
    'inbound: {listen: "0.0.0.0:2", local: "10.0.0.1:1", default_intention: allow}',
  ).because(/local: 10\.0\.0\.1:1 is not on this machine/);
  warned('a service that no caller may call', INBOUND).because(/intentions: no intention allows calls to s$/);
  warned(
    'retries without a budget',
    `outbound: {upstreams: {u: ${upstreamWith('budget: {ratio: 0, per_second: 0}, routes: [{methods: ["*"], idempotent: true, retry: {}}]')}}}`,
  ).because(/budget: a budget of nothing/);
  warned(
    'a bound that another hides',
    'inbound: {listen: "0.0.0.0:2", local: "unix:/m", default_intention: allow}\nlimits: {memory_budget: 32MiB}',
  ).because(/queue: max_waiting_bytes \(64MiB\) is above memory_budget \(32MiB\)/);

  it('says that callers have no names without TLS, where something is about one', () => {
    const file = (more: string) =>
      sidecarWarnings(
        `service: s\ninbound: {listen: "0.0.0.0:2", local: "unix:/m", mtls: off, ${more}}`,
      ).slice(1);
    const nobody = 'with mtls off no caller has a name, so that this is about nobody, and not about web';
    assert.deepEqual(file('intentions: [{from: web, to: s, action: allow}]'), [
      `2: inbound.intentions[0].from: ${nobody}`,
      '2: inbound.intentions: no intention allows calls to s',
    ]);
    const anybody = 'intentions: [{from: "*", to: s, action: allow}]';
    assert.deepEqual(file(`${anybody}, rate_limits: [{callers: [web], per_second: 1}, {per_second: 2}]`), [
      `2: inbound.rate_limits[0].callers[0]: ${nobody}`,
    ]);
    const classes = 'key: p, classes: [a, b], callers: [{class: a, callers: [web]}]';
    assert.deepEqual(file(`${anybody}, queue: {priority: {${classes}}}`), [
      `2: inbound.queue.priority.callers[0].callers[0]: ${nobody}`,
    ]);
  });

  it('has none for a careful file', () => {
    const text = `${IDENTITY}\nadmin: 127.0.0.1:1\ninbound: {listen: "0.0.0.0:2", local: "unix:/m", intentions: [{from: web, to: s, action: allow}]}`;
    assert.deepEqual(sidecarWarnings(text), []);
  });
});

function defaultRoutes(side: 'inbound' | 'outbound'): RouteConfig[] {
  const sizes = { holdBytes: 65_536, sampleBytes: 4_194_304 };
  const times = { timeoutMs: 15_000, idleTimeoutMs: 0, attemptTimeoutMs: 0 };
  const unary = { kind: 'unary' as const, ...times, ...sizes };
  const questions = ['ServerLive', 'ServerReady', 'ModelReady', 'ServerMetadata', 'ModelMetadata'];
  questions.push('ModelConfig', 'ModelStatistics', 'RepositoryIndex');
  const reading = questions.map((name) => `/inference.GRPCInferenceService/${name}`);
  reading.push('/grpc.health.v1.Health/Check');
  const infer = '/inference.GRPCInferenceService/ModelInfer';
  const others = ['Classify', 'Regress', 'Predict', 'GetModelMetadata', 'MultiInference'].map(
    (name) => `/tensorflow.serving.PredictionService/${name}`,
  );
  others.push(
    ...['Ping', 'Predictions'].map(
      (name) => `/org.pytorch.serve.grpc.inference.InferenceAPIsService/${name}`,
    ),
  );
  const retry = { attempts: 3, on: [14], backoff: { baseMs: 25, maxMs: 250 } };
  return [
    ...(side === 'inbound'
      ? [{ methods: [...reading, infer, ...others], idempotent: false, ...unary }]
      : [
          { methods: reading, idempotent: true, retry, ...unary },
          { methods: [infer, ...others], idempotent: false, ...unary },
        ]),
    {
      ...{ methods: ['*'], kind: 'auto' as const, timeoutMs: 0, idleTimeoutMs: 300_000 },
      ifUnary: { timeoutMs: 15_000, idleTimeoutMs: 0 },
      ...{ idempotent: false, attemptTimeoutMs: 0, ...sizes },
    },
  ];
}
