/** What a file says of decisions and perhaps does not mean. */
import assert from 'node:assert/strict';
import { parseMeshFile, parseSidecarFile } from '../../../../sidecar/config/file/parse.js';
import { FILE, IDENTITY, upstreamWith, warningsIn } from '../../../kit/config/problems-of.js';

const INFER = '/inference.GRPCInferenceService/ModelInfer';
const TWO = 'endpoints: ["10.0.0.1:1", {address: "10.0.0.2:1", locality: dc2}]';

const upstream = (more: string) =>
  `${IDENTITY}\noutbound: {upstreams: {u: {listen: "127.0.0.1:1", ${TWO}, ${more}}, lite: ${upstreamWith('').replace(':1"', ':2"')}}}`;
const route = (more: string) => upstream(`routes: [{methods: [${INFER}], idempotent: true, ${more}}]`);
const inbound = (more: string) =>
  `${IDENTITY}\ninbound: {listen: "0.0.0.0:2", local: "unix:/m", default_intention: allow, ${more}}`;
const FALLBACK = 'fallback: [{kind: upstream, upstream: lite}]';

describe('warnings about decisions', () => {
  const cases: readonly (readonly [what: string, text: string, warning: RegExp])[] = [
    [
      'a copy of many calls',
      route('hedge: {percentile: 0.8}'),
      /hedge\.percentile: more than one call in ten would be sent twice/,
    ],
    [
      'a copy that has nowhere to go',
      `${IDENTITY}\noutbound: {upstreams: {u: ${upstreamWith(`routes: [{methods: [${INFER}], idempotent: true, hedge: {}}]`)}}}`,
      /hedge: there is only one endpoint/,
    ],
    [
      'faults that callers make',
      route('outcomes: {fault: [not_found, invalid_argument]}'),
      /outcomes\.fault\[1\]: invalid_argument is up to what callers send/,
    ],
    [
      'a fallback from a call that never fails',
      route(`timeout: none, ${FALLBACK}`),
      /fallback: a route without timeout and attempt_timeout: a call that hangs never falls back/,
    ],
    [
      'a fallback without time',
      route(FALLBACK),
      /fallback: a route without attempt_timeout: when a call hangs, all of its time is over/,
    ],
    [
      'a memory of answers beyond that of calls',
      `${route('attempt_timeout: 1s, fallback: [{kind: last-good, max_bytes: 1GiB}]')}`,
      /fallback\[0\]\.max_bytes: 1GiB of answers kept are more than memory_budget \(96MiB\)/,
    ],
    [
      'sticking to the only choice',
      route('split: {weights: {u: 1, lite: 0}, sticky_by: x-session}'),
      /split\.sticky_by: there is nothing to choose from by weight/,
    ],
    [
      'fewer connections than endpoints',
      upstream('breaker: {max_connections: 1}'),
      /breaker\.max_connections: 1 connections are fewer than its endpoints are to have \(2\)/,
    ],
    [
      'a place without endpoints',
      upstream('locality: {own: dc1}'),
      /locality\.own: no endpoint is at "dc1", so that all of them are used alike/,
    ],
    [
      'an order of no calls',
      inbound('queue: {max_waiting: 0, fair: true}'),
      /queue\.fair: no call waits \(max_waiting is 0\)/,
    ],
    [
      'classes of no calls',
      inbound('queue: {max_waiting: 0, priority: {key: p, classes: [a, b]}}'),
      /queue\.priority: no call waits/,
    ],
    [
      'a search for what is said',
      inbound('queue: {adaptive: {min: 2, max: 2}}'),
      /queue\.adaptive: min and max are both 2: there is nothing to find/,
    ],
    [
      'drills that cannot be held',
      `${inbound('mtls: strict')}\nfault_injection: true`,
      /fault_injection: there is no admin port/,
    ],
  ];
  for (const [what, text, warning] of cases) {
    it(`says ${what}, and accepts it`, () => {
      const warnings = warningsIn(parseSidecarFile(text, FILE));
      assert.equal(warnings.length, 1, warnings.join('\n'));
      assert.match(warnings[0]!, warning);
    });
  }

  it('say that an open admin port is more dangerous with drills', () => {
    const text = `${inbound('mtls: strict')}\nadmin: 0.0.0.0:1\nfault_injection: true`;
    const warnings = warningsIn(parseSidecarFile(text, FILE)).join('\n');
    assert.match(warnings, /fault_injection: a client that reaches 0\.0\.0\.0:1 can delay and abort calls/);
  });

  it('are none where all of it makes sense', () => {
    for (const text of [
      route(`attempt_timeout: 1s, hedge: {}, ${FALLBACK}, split: {weights: {u: 1, lite: 1}, sticky_by: k}`),
      upstream('breaker: {}, locality: {own: dc2}, health: {}, slow_start: {}'),
      `${inbound('queue: {adaptive: {}, fair: true}')}\nadmin: 127.0.0.1:9\nfault_injection: true`,
    ])
      assert.deepEqual(warningsIn(parseSidecarFile(text, FILE)), [], text);
  });
});

describe('warnings about decisions in a mesh file', () => {
  const mesh = (more: string, top = '') =>
    `services: {digits: {models: m, replicas: 3, queue: {concurrency: 8}}}\ncaller: {name: app, upstreams: {digits: {listen: "127.0.0.1:1", ${more}}}}\ndefault_intention: allow\n${top}`;
  const warnings = (text: string) => warningsIn(parseMeshFile(text, FILE));

  it('say that a breaker keeps models from having enough to do', () => {
    assert.deepEqual(warnings(mesh('breaker: {max_in_flight: 23}')), [
      '2: caller.upstreams.digits.breaker.max_in_flight: 23 calls are fewer than its models take at once (24): they never have enough to do',
    ]);
    assert.deepEqual(warnings(mesh('breaker: {max_in_flight: 24}')), []);
    assert.deepEqual(warnings(mesh('breaker: {max_in_flight: none}')), []);
  });

  it('do not count replicas where Consul may know of more', () => {
    assert.deepEqual(warnings(mesh('breaker: {max_in_flight: 23}', 'consul: {}')), []);
  });

  it('need no admin port of the caller for drills: every replica has one', () => {
    assert.deepEqual(warnings(mesh('tls: mesh', 'fault_injection: true')), []);
  });
});
