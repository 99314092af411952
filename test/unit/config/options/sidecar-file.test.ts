/** What a sidecar file says, and what is wrong with it. */
import assert from 'node:assert/strict';
import { parseSidecarFile } from '../../../../sidecar/config/file/parse.js';
import type { RouteConfig, UpstreamConfig } from '../../../../sidecar/config/model.js';
import {
  FILE,
  IDENTITY,
  sidecarConfig,
  sidecarProblems,
  upstreamProblems,
  upstreamWith,
  warningsIn,
} from '../../../kit/config/problems-of.js';

const INBOUND = 'inbound: {listen: "0.0.0.0:9443", local: "unix:model.sock"}';

describe('a sidecar file', () => {
  it('needs only a service, an identity and something to do; everything else has its default', () => {
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
        queue: { concurrency: 2, maxWaiting: 128, maxWaitingBytes: 67_108_864 },
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
        replayBytesPerCall: 1_048_576,
      },
      drainTimeoutMs: 30_000,
      log: { level: 'info' },
    });
  });

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
          invalidOutput: { mode: 'off', above: 0.5, minSamples: 20, sampleRatio: 0.05 },
        },
      },
      pool: {
        maxEndpoints: 128,
        connections: 1,
        connectTimeoutMs: 1_000,
        pingIntervalMs: 10_000,
        pingTimeoutMs: 5_000,
        maxAgeMs: 3_600_000,
      },
      budget: { ratio: 0.2, perSecond: 3 },
      routes: defaultRoutes('outbound'),
    } satisfies UpstreamConfig);
  });

  it('gives a model process its defaults, and an empty command when the command line names it', () => {
    assert.deepEqual(sidecarConfig(`${IDENTITY}\n${INBOUND}\nmodel: {}`).model, {
      command: [],
      env: {},
      inherit: [],
      startTimeoutMs: 60_000,
      longestRunMs: 300_000,
      restart: { baseMs: 100, maxMs: 30_000, limit: { starts: 5, withinMs: 60_000 }, retryAfterMs: 300_000 },
      stopTimeoutMs: 10_000,
    });
  });

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
      {
        listen: { kind: 'tcp', host: '127.0.0.1', port: 1 },
        by: 'metadata',
        metadataKey: 'to',
      },
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

  it('says everything that is wrong at once, in the order of the file, each with line, path and what was meant', () => {
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
        '1: servce: unknown option; expected one of service, instance, trust_domain, datacenter, identity, consul, admin, drain_timeout, log, access_log, fault_injection, limits, inbound, outbound, model; did you mean "service"?',
        '2: identity.roots: missing; expected the path of the root certificates',
        '3: admin: found 9901; expected an address such as "127.0.0.1:8800", "[::1]:8800" or "unix:/path/to.sock"; did you mean "127.0.0.1:9901"?',
        '5: inbound.listen: found ":9443"; expected an address such as "127.0.0.1:8800", "[::1]:8800" or "unix:/path/to.sock"; did you mean "127.0.0.1:9443" (this machine only) or "0.0.0.0:9443" (every interface)?',
        '7: inbound.mtls: found "stricd"; expected one of strict, permissive, off; did you mean "strict"?',
        '10: inbound.intentions[1].from: missing; expected the name of a service, or "*" for all',
        '10: inbound.intentions[1].action: found "maybe"; expected one of allow, deny',
        '10: inbound.intentions[1].form: unknown option; expected one of from, to, action; did you mean "from"?',
        '11: inbound.queue.concurrency: found 0; expected a whole number from 1 to 10000',
        '11: inbound.queue.max_waiting_bytes: found "64MB"; expected a size with its unit, such as "512B", "64KiB", "64MiB" or "1GiB"; did you mean "64MiB"?',
        '13: inbound.routes[0].methods: found "*"; expected a list of methods; did you mean [*]?',
        '13: inbound.routes[0].timeout: found 15; expected a duration with its unit, such as "250ms", "15s", "5m" or "1h", or none; did you mean "15ms" or "15s"?',
        '14: limits.max_connections: found 1; expected a whole number from 8 to 1000000',
        '15: drain_timeout: found "soon"; expected a duration with its unit, such as "250ms", "15s", "5m" or "1h"',
      ],
    );
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

  it('quotes keys that are no plain words, so that they cannot pass for something else', () => {
    assert.match(
      sidecarProblems(`${IDENTITY}\n${INBOUND}\n"a.b\\nc": 1`)[0]!,
      /^4: \["a\.b\\nc"\]: unknown option/,
    );
  });

  for (const text of ['[a]', 'a', '5', '{}']) {
    it(`refuses ${text} as a whole`, () => assert.ok(sidecarProblems(text).length > 0));
  }

  it('names the other command when a mesh file is given', () => {
    assert.deepEqual(sidecarProblems('services: {}\ncaller: {}'), [
      '1: found a mesh file; expected a sidecar file; for a whole mesh use "outrider up"',
    ]);
  });
});

describe('rules between the options of a sidecar file', () => {
  const cases: readonly (readonly [what: string, text: string, problem: RegExp])[] = [
    ['has nothing to do', IDENTITY, /found neither inbound nor outbound/],
    [
      'has a model that cannot be called',
      `${IDENTITY}\noutbound: {upstreams: {u: ${upstreamWith('')}}}\nmodel: {command: [x]}`,
      /model: found a model process without inbound/,
    ],
    [
      'is strict without an identity',
      `service: s\n${INBOUND}`,
      /inbound\.mtls: found strict without an identity/,
    ],
    [
      'is permissive without an identity',
      'service: s\ninbound: {listen: "127.0.0.1:1", local: "unix:/m", mtls: permissive}',
      /found permissive without an identity/,
    ],
    [
      'calls the mesh without an identity',
      `service: s\noutbound: {upstreams: {u: ${upstreamWith('')}}}`,
      /u\.tls: found mesh without an identity/,
    ],
    ['has no upstream', `${IDENTITY}\noutbound: {upstreams: {}}`, /outbound\.upstreams: found none/],
    [
      'has an upstream that the application cannot reach',
      `${IDENTITY}\noutbound: {upstreams: {u: {endpoints: ["10.0.0.1:1"]}}}`,
      /u\.listen: missing; expected an address, or a block shared/,
    ],
    [
      'has two listeners at one address',
      `${IDENTITY}\nadmin: 0.0.0.0:9443\n${INBOUND}`,
      /inbound\.listen: found 0\.0\.0\.0:9443, which admin takes already/,
    ],
    [
      'would serve itself',
      `${IDENTITY}\ninbound: {listen: "0.0.0.0:80", local: "127.0.0.1:80"}`,
      /inbound\.local: found 127\.0\.0\.1:80, which is inbound\.listen of this same sidecar/,
    ],
    [
      'would call itself',
      `${IDENTITY}\noutbound: {upstreams: {u: {listen: "127.0.0.1:1", endpoints: ["localhost:1"]}}}`,
      /endpoints\[0\]: found localhost:1, which is outbound\.upstreams\.u\.listen/,
    ],
    [
      'has models by name, and none listed',
      `${IDENTITY}\n${INBOUND}\nmodel: {command: [x], isolation: shared}`,
      /model\.isolation: found without inbound\.golden/,
    ],
    [
      'has processes that do not know their models',
      `${IDENTITY}\ninbound: {listen: "127.0.0.1:1", local: "unix:/m", golden: {models: /m}}\nmodel: {command: [x], isolation: process}`,
      /model\.command: found without \{model\}/,
    ],
    [
      'has processes that would listen at the same port',
      `${IDENTITY}\ninbound: {listen: "127.0.0.1:1", local: "127.0.0.1:2", golden: {models: /m}}\nmodel: {command: [x, "{model}"], isolation: process}`,
      /inbound\.local: found a port; expected a socket/,
    ],
    [
      'names a model that it does not have',
      `${IDENTITY}\ninbound: {listen: "127.0.0.1:1", local: "unix:/m"}\nmodel: {command: [x, "{model}"]}`,
      /model\.command: found \{model\} without isolation: process/,
    ],
    [
      'replays more than it may hold',
      `${IDENTITY}\n${INBOUND}\nlimits: {memory_budget: 16MiB, replay_bytes_per_call: 17MiB}`,
      /replay_bytes_per_call: found 17MiB; expected at most memory_budget \(16MiB\)/,
    ],
  ];
  for (const [what, text, problem] of cases) {
    it(`refuses a sidecar that ${what}`, () => {
      assert.equal(sidecarProblems(text).length, 1);
      assert.match(sidecarProblems(text)[0]!, problem);
    });
  }

  it('lets another machine use the same port as a listener for every interface', () => {
    sidecarConfig(
      `${IDENTITY}\n${INBOUND}\noutbound: {upstreams: {u: {listen: "127.0.0.1:1", endpoints: ["10.0.0.7:9443"]}}}`,
    );
  });

  it('lets any number of listeners take any free port', () => {
    sidecarConfig(`${IDENTITY}\nadmin: 127.0.0.1:0\ninbound: {listen: "127.0.0.1:0", local: "unix:/m"}`);
  });
});

describe('rules of an upstream', () => {
  const cases: readonly (readonly [what: string, block: string, problem: RegExp])[] = [
    [
      'no endpoint',
      '{listen: "127.0.0.1:1", endpoints: []}',
      /^endpoints: found an empty list; expected at least one endpoint$/,
    ],
    [
      'no list of endpoints',
      '{listen: "127.0.0.1:1"}',
      /^endpoints: missing; expected at least one endpoint, or a block consul at the top$/,
    ],
    [
      'only weights of zero',
      '{listen: "127.0.0.1:1", endpoints: [{address: "10.0.0.1:1", weight: 0}]}',
      /^endpoints: found only weights of 0/,
    ],
    [
      'a negative weight',
      '{listen: "127.0.0.1:1", endpoints: [{address: "10.0.0.1:1", weight: -1}]}',
      /weight: found -1; expected a number from 0/,
    ],
    [
      'an infinite weight',
      '{listen: "127.0.0.1:1", endpoints: [{address: "10.0.0.1:1", weight: .inf}]}',
      /weight: found \.inf; expected a number/,
    ],
    [
      'an endpoint at port 0',
      '{listen: "127.0.0.1:1", endpoints: ["10.0.0.1:0"]}',
      /expected a port from 1 to 65535/,
    ],
    [
      'an endpoint that is a number',
      '{listen: "127.0.0.1:1", endpoints: [5]}',
      /^endpoints\[0\]: found 5; expected an address, or a block/,
    ],
    [
      'one endpoint twice',
      '{listen: "127.0.0.1:1", endpoints: ["10.0.0.1:1", {address: "10.0.0.1:1"}]}',
      /^endpoints\[1\]: found 10\.0\.0\.1:1 again, as in endpoints\[0\]/,
    ],
    [
      'one id twice',
      '{listen: "127.0.0.1:1", endpoints: [{address: "10.0.0.1:1", id: a}, {address: "10.0.0.2:1", id: a}]}',
      /^endpoints\[1\]\.id: found "a" again/,
    ],
    [
      'an ejection that ends before it begins',
      upstreamWith('ejection: {base: 1m, max: 30s}'),
      /^ejection\.max: found 30s; expected at least base \(1m\)$/,
    ],
    [
      'an ejection longer than its default bound',
      upstreamWith('ejection: {base: 10m}'),
      /^ejection\.max: found 5m; expected at least base \(10m\)$/,
    ],
    [
      'a ratio in percent',
      upstreamWith('budget: {ratio: 20}'),
      /^budget\.ratio: found 20; expected a ratio from 0 to 1$/,
    ],
    [
      'a timeout of nothing',
      upstreamWith('routes: [{methods: ["*"], timeout: 0ms}]'),
      /timeout: found "0ms"; expected 1ms to 24h, or none$/,
    ],
    [
      'no connection',
      upstreamWith('pool: {connections: 0}'),
      /^pool\.connections: found 0; expected a whole number from 1 to 64$/,
    ],
    [
      'half a connection',
      upstreamWith('pool: {connections: 1.5}'),
      /^pool\.connections: found 1\.5; expected a whole number/,
    ],
    [
      'an unknown way to balance',
      upstreamWith('balance: {kind: random}'),
      /^balance\.kind: found "random"; expected one of least-loaded, round-robin, ring-hash$/,
    ],
  ];
  for (const [what, block, problem] of cases) {
    it(`refuses ${what}`, () => {
      assert.equal(upstreamProblems(block).length, 1, upstreamProblems(block).join('\n'));
      assert.match(upstreamProblems(block)[0]!, problem);
    });
  }

  it('hears rules between options even when single options are wrong', () => {
    assert.deepEqual(
      upstreamProblems(upstreamWith('ejection: {base: 1m, max: 30s, jitter: 5, mode: off}')).map(
        (line) => line.split(':')[0],
      ),
      ['ejection.mode', 'ejection.jitter', 'ejection.max'],
    );
  });
});

describe('warnings about a sidecar file', () => {
  const cases: readonly (readonly [what: string, text: string, warning: RegExp])[] = [
    [
      'an admin page for everyone',
      `${IDENTITY}\nadmin: 0.0.0.0:1\ninbound: {listen: "0.0.0.0:2", local: "unix:/m", default_intention: allow}`,
      /^3: admin: a client that reaches 0\.0\.0\.0:1 can read and drain/,
    ],
    [
      'a listener that lends its identity to everyone',
      `${IDENTITY}\noutbound: {upstreams: {u: {listen: "0.0.0.0:1", endpoints: ["10.0.0.1:1"]}}}`,
      /u\.listen: a client that reaches 0\.0\.0\.0:1 calls with this sidecar's identity/,
    ],
    [
      'plaintext callers',
      `${IDENTITY}\ninbound: {listen: "0.0.0.0:2", local: "unix:/m", mtls: permissive, default_intention: allow}`,
      /mtls: plaintext callers are let in/,
    ],
    [
      'no proof of who calls',
      'service: s\ninbound: {listen: "0.0.0.0:2", local: "unix:/m", mtls: off, default_intention: allow}',
      /mtls: callers are not authenticated/,
    ],
    [
      'plaintext that leaves the machine',
      `${IDENTITY}\ninbound: {listen: "0.0.0.0:2", local: "10.0.0.1:1", default_intention: allow}`,
      /local: 10\.0\.0\.1:1 is not on this machine/,
    ],
    [
      'a service that no caller may call',
      `${IDENTITY}\n${INBOUND}`,
      /intentions: no intention allows calls to s$/,
    ],
    [
      'retries without a budget',
      `${IDENTITY}\noutbound: {upstreams: {u: ${upstreamWith('budget: {ratio: 0, per_second: 0}, routes: [{methods: ["*"], idempotent: true, retry: {}}]')}}}`,
      /budget: a budget of nothing/,
    ],
    [
      'a bound that another hides',
      `${IDENTITY}\ninbound: {listen: "0.0.0.0:2", local: "unix:/m", default_intention: allow}\nlimits: {memory_budget: 32MiB}`,
      /queue: max_waiting_bytes \(64MiB\) is above memory_budget \(32MiB\)/,
    ],
  ];
  for (const [what, text, warning] of cases) {
    it(`says ${what}, and accepts it`, () => {
      const warnings = warningsIn(parseSidecarFile(text, FILE));
      assert.equal(warnings.length, 1, warnings.join('\n'));
      assert.match(warnings[0]!, warning);
    });
  }

  it('has none for a careful file', () => {
    const text = `${IDENTITY}\nadmin: 127.0.0.1:1\ninbound: {listen: "0.0.0.0:2", local: "unix:/m", intentions: [{from: web, to: s, action: allow}]}`;
    assert.deepEqual(warningsIn(parseSidecarFile(text, FILE)), []);
  });
});

function defaultRoutes(side: 'inbound' | 'outbound'): RouteConfig[] {
  const unary = { kind: 'unary', timeoutMs: 15_000, idleTimeoutMs: 0, attemptTimeoutMs: 0 } as const;
  const questions = ['ServerLive', 'ServerReady', 'ModelReady', 'ServerMetadata', 'ModelMetadata'];
  questions.push('ModelConfig', 'ModelStatistics', 'RepositoryIndex');
  const reading = questions.map((name) => `/inference.GRPCInferenceService/${name}`);
  reading.push('/grpc.health.v1.Health/Check');
  const infer = '/inference.GRPCInferenceService/ModelInfer';
  const retry = { attempts: 3, on: [14], backoff: { baseMs: 25, maxMs: 250 } };
  return [
    ...(side === 'inbound'
      ? [{ methods: [...reading, infer], idempotent: false, ...unary }]
      : [
          { methods: reading, idempotent: true, retry, ...unary },
          { methods: [infer], idempotent: false, ...unary },
        ]),
    {
      ...{ methods: ['*'], kind: 'streaming' as const, timeoutMs: 0, idleTimeoutMs: 300_000 },
      ...{ idempotent: false, attemptTimeoutMs: 0 },
    },
  ];
}
