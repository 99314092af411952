/** Routes: what is inferred, what is refused, and what follows at the end. */
import assert from 'node:assert/strict';
import { isCovered } from '../../../../../sidecar/config/methods.js';
import type { RouteConfig } from '../../../../../sidecar/config/model.js';
import { stringifySidecar } from '../../../../../sidecar/config/stringify.js';
import {
  IDENTITY,
  refusing,
  sidecarConfig,
  sidecarProblems,
  upstreamProblems,
  upstreamWith,
} from '../../../../kit/config/problems-of.js';

const INFER = '/inference.GRPCInferenceService/ModelInfer';

function routesOf(routes: string): readonly RouteConfig[] {
  const config = sidecarConfig(
    `${IDENTITY}\noutbound: {upstreams: {u: ${upstreamWith(`routes: ${routes}`)}}}`,
  );
  return config.outbound!.upstreams[0]!.routes;
}

function problemsWith(routes: string): string[] {
  return upstreamProblems(upstreamWith(`routes: ${routes}`));
}

describe('the end of a list of routes', () => {
  it('takes every method that no route names: known unary ones first, then everything as its service describes it', () => {
    const routes = routesOf('[{methods: [/my.Service/Do]}]');
    assert.deepEqual(
      routes.map(({ kind, methods }) => [kind, methods.length]),
      [
        ['auto', 1],
        ['unary', 9],
        ['unary', 8],
        ['auto', 1],
      ],
    );
    assert.deepEqual(routes.at(-1)!.methods, ['*']);
    const [, reading, ...others] = routes;
    assert.ok(others.every(({ idempotent, retry }) => !idempotent && retry === undefined));
    assert.deepEqual(
      [reading!.idempotent, reading!.retry],
      [true, { attempts: 3, on: [14], backoff: { baseMs: 25, maxMs: 250 } }],
    );
    assert.ok(!reading!.methods.includes(INFER));
  });

  it('does not name a known method again that a route takes', () => {
    const routes = routesOf(`[{methods: [${INFER}]}]`);
    assert.equal(routes[1]!.methods.length, 9);
    assert.ok(!routes[1]!.methods.includes(INFER));
  });

  it('names none of those that routes take', () => {
    const routes = routesOf('[{methods: [/inference.GRPCInferenceService/*, /grpc.health.v1.Health/*]}]');
    assert.deepEqual(
      routes.map(({ methods }) => methods.length),
      [2, 7, 1],
    );
  });

  it('is there for the models that a route leaves out', () => {
    const routes = routesOf(`[{methods: [${INFER}], models: [digits]}, {methods: ["*"], models: [words]}]`);
    assert.deepEqual(
      routes.map(({ methods, models }) => [methods.length, models]),
      [
        [1, ['digits']],
        [1, ['words']],
        [9, undefined],
        [8, undefined],
        [1, undefined],
      ],
    );
  });

  it('is left alone when a route takes every method', () =>
    assert.equal(routesOf('[{methods: ["*"]}]').length, 1));
});

describe('what a route leaves unsaid', () => {
  it('is unary with 15 s when every method is known to be', () => {
    const [route] = routesOf(`[{methods: [${INFER}, /grpc.health.v1.Health/Check]}]`);
    assert.deepEqual([route!.kind, route!.timeoutMs, route!.idleTimeoutMs], ['unary', 15_000, 0]);
  });

  it('is auto when one of them is not: the times of a stream, and others where the service says that it is unary', () => {
    for (const methods of [`[${INFER}, /a.B/C]`, '[/inference.GRPCInferenceService/*]', '["*"]']) {
      const [route] = routesOf(`[{methods: ${methods}}]`);
      assert.deepEqual([route!.kind, route!.timeoutMs, route!.idleTimeoutMs], ['auto', 0, 300_000]);
      assert.deepEqual(route!.ifUnary, { timeoutMs: 15_000, idleTimeoutMs: 0 });
    }
  });

  it('is what is said for methods of any kind, and written again as it was', () => {
    const written = (routes: string): RouteConfig => {
      const outbound = (of: string) => `{upstreams: {u: ${upstreamWith(`routes: ${of}`)}}}`;
      const config = sidecarConfig(`${IDENTITY}\noutbound: ${outbound(routes)}`);
      const again = sidecarConfig(stringifySidecar(config));
      assert.deepEqual(again.outbound, config.outbound);
      return again.outbound!.upstreams[0]!.routes[0]!;
    };
    const none = written('[{methods: [/a.B/C], timeout: none}]');
    assert.deepEqual([none.kind, none.ifUnary], ['auto', { timeoutMs: 0, idleTimeoutMs: 0 }]);
    const said = written('[{methods: [/a.B/C], kind: auto, timeout: 15s, idle_timeout: 1m}]');
    assert.deepEqual([said.timeoutMs, said.ifUnary], [15_000, { timeoutMs: 15_000, idleTimeoutMs: 60_000 }]);
    assert.equal(written('[{methods: [/a.B/C]}]').ifUnary!.timeoutMs, 15_000);
    assert.equal(written('[{methods: [/a.B/C], kind: streaming}]').ifUnary, undefined);
  });

  it('follows the kind that is said', () => {
    const [unary] = routesOf('[{methods: [/a.B/C], kind: unary}]');
    assert.deepEqual([unary!.timeoutMs, unary!.idleTimeoutMs], [15_000, 0]);
    const [stream] = routesOf(`[{methods: [${INFER}], kind: streaming}]`);
    assert.deepEqual([stream!.timeoutMs, stream!.idleTimeoutMs], [0, 300_000]);
  });

  it('takes none as no limit', () => {
    const [route] = routesOf(`[{methods: [${INFER}], timeout: none, attempt_timeout: none}]`);
    assert.deepEqual([route!.timeoutMs, route!.attemptTimeoutMs], [0, 0]);
  });

  it('retries twice on UNAVAILABLE when the block is there', () => {
    const [route] = routesOf(`[{methods: [${INFER}], idempotent: true, retry: {}}]`);
    assert.deepEqual(route!.retry, { attempts: 2, on: [14], backoff: { baseMs: 25, maxMs: 250 } });
  });
});

describe('a route of methods that only read', () => {
  const READY = '/inference.GRPCInferenceService/ModelReady';
  const asked = (more: string) => {
    const [route] = routesOf(`[{methods: [${READY}, /grpc.health.v1.Health/Check]${more}}]`);
    return [route!.idempotent, route!.retry?.attempts];
  };

  it('may be asked again where it says nothing of that, and is as it says where it does', () => {
    assert.deepEqual(asked(''), [true, 3]);
    assert.deepEqual(asked(', retry: {attempts: 2}'), [true, 2]);
    assert.deepEqual(asked(', idempotent: true'), [true, undefined]);
    assert.deepEqual(asked(', idempotent: false'), [false, undefined]);
    assert.deepEqual(asked(', hedge: {}'), [true, 3]);
  });

  it('is none with one method among them that may do something', () => {
    const [route] = routesOf(`[{methods: [${READY}, ${INFER}]}]`);
    assert.deepEqual([route!.idempotent, route!.retry], [false, undefined]);
    const problems = problemsWith(`[{methods: [${READY}, ${INFER}], retry: {}}]`);
    assert.match(problems[0]!, /found unavailable on a route that is not idempotent/);
  });
});

describe('routes that are refused', () => {
  const refused = refusing(problemsWith);
  refused('no method', '[{methods: []}]')
    .because(/methods: found an empty list; expected at least one method/)
    .also('a method without its slash', '[{methods: [a.B/C]}]')
    .because(/found "a\.B\/C"; expected .*; did you mean "\/a\.B\/C"\?/)
    .also('a pattern inside a name', '[{methods: [/a.B/Get*]}]')
    .because(/expected "\/package\.Service\/Method"/)
    .also('an attempt longer than its call', '[{methods: ["*"], timeout: 1s, attempt_timeout: 2s}]')
    .because(/attempt_timeout: found 2s; expected at most timeout \(1s\)/)
    .also('an attempt longer than the default of its call', `[{methods: [${INFER}], attempt_timeout: 20s}]`)
    .because(/found 20s; expected at most timeout \(15s by default\)/)
    .also('one attempt as a retry', '[{methods: ["*"], idempotent: true, retry: {attempts: 1}}]')
    .because(/attempts: found 1; expected a whole number from 2 to 5/)
    .also('a route after one for everything', '[{methods: ["*"]}, {methods: [/a.B/C]}]')
    .because(/never reached; routes\[0\] already takes "\*"/)
    .also('a known stream as unary', '[{methods: [/grpc.health.v1.Health/Watch], kind: unary}]')
    .because(/found "\/grpc\.health\.v1\.Health\/Watch" in a unary route; expected kind streaming/);
  refused('a method with two', '[{methods: [/a/b/c]}]').because(/found "\/a\/b\/c"; expected/);
  refused('a retry of what may not be done twice', '[{methods: ["*"], retry: {}}]').because(
    /retry\.on: found unavailable on a route that is not idempotent; expected "idempotent: true" .* or "on: \[\]"/,
  );
  refused(
    'a status that another attempt cannot change',
    '[{methods: ["*"], idempotent: true, retry: {on: [not_found]}}]',
  ).because(/on\[0\]: found "not_found"; expected one of unknown/);
  refused(
    'a status in the spelling of the protocol',
    '[{methods: ["*"], idempotent: true, retry: {on: [UNAVAILABLE]}}]',
  ).because(/did you mean "unavailable"\?/);
  refused(
    'a wait that is longest before it is shortest',
    '[{methods: ["*"], idempotent: true, retry: {backoff: {base: 2s, max: 1s}}}]',
  ).because(/backoff\.max: found 1s; expected at least base \(2s\)/);
  refused(
    'a method that an earlier route takes',
    `[{methods: [/inference.GRPCInferenceService/*]}, {methods: [${INFER}]}]`,
  ).because(
    /routes\[1\]\.methods\[0\]: found "\/inference.*", which is never reached; routes\[0\] already takes "\/inference\.GRPCInferenceService\/\*"/,
  );
  refused('models beside methods that name none', '[{methods: [/a.B/C], models: [digits]}]').because(
    /methods\[0\].*expected methods that name a model/,
  );
  refused('the name of all other models', `[{methods: [${INFER}], models: [other]}]`).because(
    /models\[0\].*another name/,
  );
  refused('no model', `[{methods: [${INFER}], models: []}]`).because(/at least one model/);
  for (const [match, why] of [
    ['{model: digits, key: x-a, upstream: u}', /key.*beside model/],
    ['{version: "3", key: x-a, value: b, upstream: u}', /version.*without model/],
    ['{key: x-a, upstream: u}', /value.*missing/],
    ['{upstream: u}', /key.*missing; expected a metadata key, or model/],
    ['{model: "", upstream: u}', /the name of a model/],
  ] as const)
    refused(`a match of a split: ${match}`, `[{methods: [${INFER}], split: {match: [${match}]}}]`).because(
      why,
    );
  refused('a method twice', '[{methods: [/a.B/C]}, {methods: [/a.B/C]}]').because(/never reached/);
  refused(
    'a version of a model below the model',
    `[{methods: ["*"], models: [a, b]}, {methods: [${INFER}], models: [a], version: "3"}]`,
  ).because(/routes\[1\]\.methods\[0\].*never reached; routes\[0\] already takes "\*"/);
  refused('a version without a model', `[{methods: [${INFER}], version: "3"}]`)
    .because(/version: found without models; expected it beside one model/)
    .also('a version of two models', `[{methods: [${INFER}], models: [a, b], version: "3"}]`)
    .because(/version: found beside 2 models/);

  it('takes routes for a version, other versions and other models, the narrower first', () => {
    const three = `{methods: [${INFER}], models: [a], version: "3"}`;
    const other = `{methods: [${INFER}], models: [a], version: "4"}`;
    const found = routesOf(
      `[${three}, ${other}, {methods: [${INFER}], models: [a, b]}, {methods: [${INFER}]}]`,
    );
    assert.deepEqual(
      found.slice(0, 4).map(({ version }) => version),
      ['3', '4', undefined, undefined],
    );
  });

  it('does not compare a limit that is wrong in itself', () => {
    for (const wrong of ['20000', '5e-324', '-1', '"20 s"']) {
      const problems = problemsWith(`[{methods: ["*"], timeout: 1s, attempt_timeout: ${wrong}}]`);
      assert.equal(problems.length, 1, problems.join('\n'));
      assert.match(problems[0]!, /expected a duration with its unit/);
    }
  });

  it('allows retries of what was never begun on any route', () =>
    assert.deepEqual(routesOf('[{methods: ["*"], retry: {on: []}}]')[0]!.retry!.on, []));

  it('allows an attempt exactly as long as its call', () =>
    assert.equal(
      routesOf('[{methods: ["*"], timeout: 1s, attempt_timeout: 1s}]')[0]!.attemptTimeoutMs,
      1_000,
    ));

  it('knows no retries and no hedges on the side of the model', () => {
    const problems = sidecarProblems(
      `${IDENTITY}\ninbound: {listen: "127.0.0.1:1", local: "unix:/m", routes: [{methods: ["*"], retry: {}, hedge: {}}]}`,
    );
    assert.deepEqual(
      problems.map((line) => line.split(';')[0]),
      ['3: inbound.routes[0].retry: unknown option', '3: inbound.routes[0].hedge: unknown option'],
    );
  });
});

describe('covering', () => {
  for (const [pattern, by, covered] of [
    ['/a.B/C', '*', true],
    ['*', '*', true],
    ['/a.B/*', '*', true],
    ['/a.B/C', '/a.B/*', true],
    ['/a.B/*', '/a.B/*', true],
    ['/a.B/C', '/a.B/C', true],
    ['/a.BC/D', '/a.B/*', false],
    ['/a.B/*', '/a.B/C', false],
    ['*', '/a.B/*', false],
  ] as const)
    it(`${pattern} is ${covered ? '' : 'not '}covered by ${by}`, () =>
      assert.equal(isCovered(pattern, by), covered));
});
