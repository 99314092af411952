/** What a file says of decisions and perhaps does not mean. */
import assert from 'node:assert/strict';
import {
  IDENTITY,
  meshWarnings,
  refusing,
  sidecarWarnings,
  upstreamWith,
} from '../../../kit/config/problems-of.js';

const INFER = '/inference.GRPCInferenceService/ModelInfer';
const TWO = 'endpoints: ["10.0.0.1:1", {address: "10.0.0.2:1", locality: dc2}]';

const upstream = (more: string) =>
  `${IDENTITY}\noutbound: {upstreams: {u: {listen: "127.0.0.1:1", ${TWO}, ${more}}, lite: ${upstreamWith('').replace(':1"', ':2"')}}}`;
const route = (more: string) => upstream(`routes: [{methods: [${INFER}], idempotent: true, ${more}}]`);
const inbound = (more: string) =>
  `${IDENTITY}\ninbound: {listen: "0.0.0.0:2", local: "unix:/m", default_intention: allow, ${more}}`;
const FALLBACK = 'fallback: [{kind: upstream, upstream: lite}]';

describe('warnings about decisions', () => {
  const warned = refusing(sidecarWarnings, 'says ', ', and accepts it');
  const ofUpstream = refusing((more) => sidecarWarnings(upstream(more)), 'says ', ', and accepts it');
  const ofRoute = refusing((more) => sidecarWarnings(route(more)), 'says ', ', and accepts it');
  const ofInbound = refusing((more) => sidecarWarnings(inbound(more)), 'says ', ', and accepts it');
  ofUpstream('a start that takes longer than calls', 'cold_start: {wait: 1m}')
    .because(
      /cold_start\.wait: a call never waits 1m: it ends at its timeout of 15s \(the default, as no route says another\); set timeout above cold_start\.wait/,
    )
    .also(
      'a start that takes longer than the calls of a route',
      `cold_start: {wait: 1m}, routes: [{methods: [${INFER}], timeout: 30s}]`,
    )
    .because(/cold_start\.wait: .*timeout of 30s \(route of .*ModelInfer\)/);
  it('accepts calls that last longer than a start', () => {
    for (const routes of [`[{methods: [${INFER}], timeout: 2m}]`, `[{methods: ["*"], timeout: none}]`])
      assert.doesNotMatch(
        sidecarWarnings(upstream(`cold_start: {wait: 1m}, routes: ${routes}`)).join(),
        /cold_start/,
      );
    assert.doesNotMatch(sidecarWarnings(upstream('cold_start: {}')).join(), /cold_start/);
  });
  const unsaid = (more: string) =>
    sidecarWarnings(
      upstream(`routes: [{methods: [${INFER}], ${more} attempt_timeout: 1s, ${FALLBACK}}]`),
    ).join();
  it('says which calls do not fall back, where a route does not say whether they may be made twice', () => {
    assert.match(
      unsaid(''),
      /routes\[0\]\.fallback\[0\]: lite gets no call that an endpoint may have begun to process.*"idempotent: true"/,
    );
    for (const said of ['idempotent: false,', 'idempotent: true,'])
      assert.doesNotMatch(unsaid(said), /begun/);
    const reading = `routes: [{methods: [/grpc.health.v1.Health/Check], attempt_timeout: 1s, ${FALLBACK}}]`;
    assert.doesNotMatch(sidecarWarnings(upstream(reading)).join(), /begun/);
    const generate = '/vllm.grpc.engine.VllmEngine/Generate';
    const ofEngine = (methods: string, more = '', before = ''): string => {
      const own = `{methods: [${methods}], ${more} attempt_timeout: 1s, ${FALLBACK}}`;
      return sidecarWarnings(upstream(`engine: vllm, routes: [${before}${own}]`)).join();
    };
    for (const methods of ['"*"', '/vllm.grpc.engine.VllmEngine/*', generate])
      assert.doesNotMatch(ofEngine(methods), /begun/);
    // What is no answer of the engine may be made twice only where its route says so.
    assert.match(ofEngine('/vllm.grpc.engine.VllmEngine/Embed'), /begun/);
    for (const kind of ['', 'kind: unary,'])
      assert.match(ofEngine('"*"', kind, `{methods: [${generate}]}, `), /begun/);
  });
  ofRoute('a copy of many calls', 'hedge: {percentile: 0.8}')
    .because(/hedge\.percentile: more than one call in ten would be sent twice/)
    .also('faults that callers make', 'outcomes: {fault: [not_found, invalid_argument]}')
    .because(/outcomes\.fault\[1\]: invalid_argument is up to what callers send/)
    .also('a fallback from a call that never fails', `timeout: none, ${FALLBACK}`)
    .because(/fallback: a route without timeout and attempt_timeout: a call that hangs never falls back/)
    .also('a fallback without time', FALLBACK)
    .because(/fallback: a route without attempt_timeout: when a call hangs, all of its time is over/)
    .also('repeating what is not kept', `replay: 0B, attempt_timeout: 1s, ${FALLBACK}`)
    .because(/replay: no request is kept, so that fallback of this route never sees one/)
    .also('copies without their answers', 'sample: 0B, mirror: {upstream: lite}')
    .because(/sample: answers longer than hold \(64KiB\) are not compared with those of the copies/)
    .also('holding more than there is', 'hold: 128MiB')
    .because(/hold: 128MiB is more than memory_budget \(96MiB\), which is reached first/)
    .also('sticking to the only choice', 'split: {weights: {u: 1, lite: 0}, sticky_by: x-session}')
    .because(/split\.sticky_by: there is nothing to choose from by weight/);
  warned(
    'a copy that has nowhere to go',
    `${IDENTITY}\noutbound: {upstreams: {u: ${upstreamWith(`routes: [{methods: [${INFER}], idempotent: true, hedge: {}}]`)}}}`,
  ).because(/hedge: there is only one endpoint/);
  warned(
    'a memory of answers beyond that of calls',
    `${route('attempt_timeout: 1s, fallback: [{kind: last-good, max_bytes: 1GiB}]')}`,
  ).because(/fallback\[0\]\.max_bytes: 1GiB of answers kept are more than memory_budget \(96MiB\)/);
  ofUpstream('fewer connections than endpoints', 'breaker: {max_connections: 1}')
    .because(/breaker\.max_connections: 1 connections are fewer than its endpoints are to have \(2\)/)
    .also('a place without endpoints', 'locality: {own: dc1}')
    .because(/locality\.own: no endpoint is at "dc1", so that all of them are used alike/)
    .also('streams in a route of unary calls', 'routes: [{methods: ["*"], kind: unary}]')
    .because(
      /routes\[0\]\.methods\[0\]: it takes streams too, such as \/inference\.GRPCInferenceService\/ModelStreamInfer, and holds/,
    )
    .also(
      'streams of a service in one',
      'routes: [{methods: [/inference.GRPCInferenceService/*], kind: unary}]',
    )
    .because(/routes\[0\]\.methods\[0\]: it takes streams too, such as .*ModelStreamInfer/)
    .also('PINGs at intervals to what is no sidecar', 'tls: plaintext, health: {kind: ping}')
    .because(/health\.kind: gRPC servers end a connection/);
  const found = (source: string, place: string) =>
    sidecarWarnings(
      `${IDENTITY}\noutbound: {upstreams: {u: {listen: "127.0.0.1:1", ${source}, locality: {own: ${place}}}}}`,
    );
  it('say which places cannot be compared: addresses have none, and pods are in zones', () => {
    assert.deepEqual(found('dns: {name: d.test, port: 1}', 'eu'), [
      '3: outbound.upstreams.u.locality: the addresses of a DNS name have no place, so that all of them are used alike',
    ]);
    assert.deepEqual(found('kubernetes: {service: d}', 'eu/a'), [
      '3: outbound.upstreams.u.locality.own: pods are in zones such as "eu-west-1a", without a slash, and none is at "eu/a"',
    ]);
    assert.deepEqual(found('kubernetes: {service: d}', 'eu-west-1a'), []);
  });
  it('are silent about a route of unary calls after one of streams, on either side', () => {
    const routes =
      'routes: [{methods: [/inference.GRPCInferenceService/ModelStreamInfer]}, {methods: ["*"], kind: unary}]';
    assert.deepEqual(sidecarWarnings(upstream(routes)), []);
    assert.deepEqual(sidecarWarnings(inbound(routes)), []);
    const pattern = routes.replace('"*"', '/inference.GRPCInferenceService/*');
    assert.deepEqual(sidecarWarnings(upstream(pattern)), []);
    assert.match(
      sidecarWarnings(inbound('routes: [{methods: ["*"], kind: unary}]')).join(),
      /takes streams too/,
    );
  });
  const named = (from: number, count: number) =>
    `{methods: [${INFER}], models: [${Array.from({ length: count }, (_, i) => `m${from + i}`)}]}`;
  ofUpstream('more models than are told apart', `routes: [${named(0, 60)}, ${named(50, 51)}]`).because(
    /routes: they name 101 models, and calls are told apart by 100 at most: those to m100, /,
  );
  it('is silent about as many models as are told apart', () =>
    assert.doesNotMatch(
      sidecarWarnings(upstream(`routes: [${named(0, 60)}, ${named(50, 50)}]`)).join('\n'),
      /are told apart/,
    ));
  const inspecting = (more: string) =>
    `ejection: {detectors: {invalid_output: {mode: enforce}}}, routes: [{methods: [${INFER}], ${more}}]`;
  ofUpstream('inspecting what no peer can be asked', inspecting('kind: unary'))
    .because(/detectors\.invalid_output: no route of ModelInfer is idempotent and keeps its requests/)
    .also('inspecting what is not kept', inspecting('idempotent: true, sample: 0B'))
    .because(
      /detectors\.invalid_output: sample is 0B on every route of ModelInfer: answers longer than hold/,
    );
  ofInbound('classes of no calls', 'queue: {max_waiting: 0, priority: {key: p, classes: [a, b]}}')
    .because(/queue\.priority: no call waits \(max_waiting is 0\)/)
    .also('a search for what is said', 'queue: {adaptive: {min: 2, max: 2}}')
    .because(/queue\.adaptive: min and max are both 2: there is nothing to find/);
  warned('drills that cannot be held', `${inbound('mtls: strict')}\nfault_injection: true`).because(
    /fault_injection: there is no admin port/,
  );

  it('say that an open admin port is more dangerous with drills', () => {
    const text = `${inbound('mtls: strict')}\nadmin: 0.0.0.0:1\nfault_injection: true`;
    const warnings = sidecarWarnings(text).join('\n');
    assert.match(warnings, /fault_injection: a client that reaches 0\.0\.0\.0:1 can delay and abort calls/);
  });

  it('do not say so of an admin port that asks for a token', () => {
    const text = `${inbound('mtls: strict')}\nadmin: 0.0.0.0:1\nadmin_token_file: t\nfault_injection: true`;
    assert.doesNotMatch(sidecarWarnings(text).join('\n'), /fault_injection|no authentication/);
  });

  it('are none where all of it makes sense', () => {
    for (const text of [
      route(`attempt_timeout: 1s, hedge: {}, ${FALLBACK}, split: {weights: {u: 1, lite: 1}, sticky_by: k}`),
      upstream(inspecting('idempotent: true')),
      upstream('breaker: {}, locality: {own: dc2}, health: {}, slow_start: {}'),
      `${inbound('queue: {adaptive: {}, fair: true}')}\nadmin: 127.0.0.1:9\nfault_injection: true`,
    ])
      assert.deepEqual(sidecarWarnings(text), [], text);
  });
});

describe('warnings about decisions in a mesh file', () => {
  const mesh = (more: string, top = '') =>
    `services: {digits: {models: m, replicas: 3, queue: {concurrency: 8}}}\ncaller: {name: app, upstreams: {digits: {listen: "127.0.0.1:1", ${more}}}}\ndefault_intention: allow\n${top}`;
  const warnings = (text: string) => meshWarnings(text);

  it('say that a breaker keeps models from having enough to do', () => {
    assert.deepEqual(warnings(mesh('breaker: {max_in_flight: 23}')), [
      '2: caller.upstreams.digits.breaker.max_in_flight: 23 calls are fewer than its models take at once (24): they never have enough to do',
    ]);
    assert.deepEqual(warnings(mesh('breaker: {max_in_flight: 24}')), []);
    assert.deepEqual(warnings(mesh('breaker: {max_in_flight: none}')), []);
  });

  it('know answers of an engine by what its service says, also of endpoints in Consul', () => {
    const text = mesh(`routes: [{methods: ["*"], attempt_timeout: 1s, ${FALLBACK}}]`)
      .replace('services: {', 'services: {lite: {models: l}, ')
      .replace('upstreams: {', 'upstreams: {lite: {listen: "127.0.0.1:2"}, ');
    assert.match(warnings(text).join(), /lite gets no call that an endpoint may have begun to process/);
    const engine = text.replace('models: m', 'command: [serve, "{port}"], engine: vllm');
    for (const top of ['', 'consul: {}']) assert.deepEqual(warnings(`${engine}${top}`), []);
  });

  it('say that a unary route of a service takes streams', () => {
    const text = mesh('tls: mesh').replace('replicas: 3', 'routes: [{methods: ["*"], kind: unary}]');
    assert.match(warnings(text)[0]!, /services\.digits\.routes\[0\]\.methods\[0\]: it takes streams too/);
  });

  it('do not count replicas where Consul may know of more', () =>
    assert.deepEqual(warnings(mesh('breaker: {max_in_flight: 23}', 'consul: {}')), []));

  it('need no admin port of the caller for drills: every replica has one', () =>
    assert.deepEqual(warnings(mesh('tls: mesh', 'fault_injection: true')), []));
});
