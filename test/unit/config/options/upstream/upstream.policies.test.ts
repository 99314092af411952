/** Decisions: what their blocks mean when they say nothing, and which contradictions are refused. */
import assert from 'node:assert/strict';
import type { RouteConfig, UpstreamConfig } from '../../../../../sidecar/config/model.js';
import { stringifySidecar } from '../../../../../sidecar/config/stringify.js';
import {
  IDENTITY,
  meshConfig,
  meshProblems,
  refusing,
  sidecarConfig,
  sidecarProblems,
  upstreamProblems,
  upstreamWith,
} from '../../../../kit/config/problems-of.js';

const INFER = '/inference.GRPCInferenceService/ModelInfer';

/** `others` are upstreams beside `u`, which has the `more`. */
function upstreams(more: string, others = ''): string {
  const lite = '{listen: "127.0.0.1:2", endpoints: ["10.0.0.2:1"]}';
  return `${IDENTITY}\noutbound: {upstreams: {u: ${upstreamWith(more)}, lite: ${lite}${others}}}`;
}

const route = (more: string) => `routes: [{methods: [${INFER}], ${more}}]`;

function upstreamOf(more: string): UpstreamConfig {
  return sidecarConfig(upstreams(more)).outbound!.upstreams[0]!;
}

function routeOf(more: string): RouteConfig {
  return upstreamOf(route(more)).routes[0]!;
}

function inbound(more: string): string {
  return `${IDENTITY}\ninbound: {listen: "127.0.0.1:1", local: "unix:/m", ${more}}`;
}

const queueOf = (block: string) => sidecarConfig(inbound(`queue: ${block}`)).inbound!.queue;

describe('an empty block about a decision', () => {
  it('of health asks the server as a whole, by gRPC', () =>
    assert.deepEqual(upstreamOf('health: {}').health, {
      kind: 'grpc',
      service: '',
      intervalMs: 5_000,
      unhealthyThreshold: 2,
      healthyThreshold: 1,
    }));

  it('of health leaves it open how long an answer may take, with short intervals too', () => {
    assert.ok(!('timeoutMs' in upstreamOf('health: {interval: 200ms}').health!));
    assert.equal(upstreamOf('health: {timeout: 3s}').health!.timeoutMs, 3_000);
  });

  it('of a cold start waits for 10 s, and asks nothing', () => {
    assert.deepEqual(upstreamOf('cold_start: {}').coldStart, { waitMs: 10_000, maxWaiting: 100 });
    const { wake } = upstreamOf('cold_start: {wake: {url: "http://h:1/wake"}}').coldStart!;
    assert.deepEqual(wake, { url: 'http://h:1/wake', intervalMs: 30_000 });
    const command = upstreamOf('cold_start: {wake: {command: [start, "a b"]}}').coldStart!.wake!.command!;
    assert.deepEqual(command, ['start', 'a b']);
  });

  it('of a breaker bounds what can grow, and not the connections, which are bounded', () => {
    assert.deepEqual(upstreamOf('breaker: {}').breaker, {
      maxConnections: 0,
      maxPending: 128,
      maxInFlight: 1_024,
      maxRetries: 64,
    });
    assert.equal(upstreamOf('breaker: {max_in_flight: none}').breaker!.maxInFlight, 0);
  });

  it('of slow start, a locality and a hedge takes the defaults of the design', () => {
    const { slowStart, locality } = upstreamOf('slow_start: {}, locality: {own: dc1}');
    assert.deepEqual(slowStart, { minRatio: 0.1, convergedFactor: 1.5, minCalls: 20, maxMs: 60_000 });
    assert.deepEqual(locality, { own: 'dc1', spillBelow: 0.7 });
    const { hedge } = routeOf('idempotent: true, hedge: {}');
    assert.deepEqual(hedge, { percentile: 0.95, minDelayMs: 1, maxRatio: 0.05 });
  });

  it('of a fallback and a mirror needs what only its author knows', () => {
    const { fallback, mirror } = routeOf(
      'idempotent: true, fallback: [{kind: upstream, upstream: lite}, {kind: last-good, vary: [x-tenant]}], mirror: {upstream: lite}',
    );
    assert.deepEqual(fallback, [
      { kind: 'upstream', upstream: 'lite' },
      { kind: 'last-good', maxAgeMs: 300_000, maxBytes: 16_777_216, vary: ['x-tenant'] },
    ]);
    assert.deepEqual(mirror, { upstream: 'lite', ratio: 1, maxInFlight: 8, tolerance: 1e-4 });
  });

  it('of a queue leaves the number, the order and the turns as they are', () => {
    assert.deepEqual(queueOf('{}'), {
      concurrency: 2,
      fair: true,
      maxWaiting: 128,
      maxWaitingBytes: 67_108_864,
    });
    assert.deepEqual(queueOf('{adaptive: {}, fair: true}'), {
      concurrency: 2,
      maxWaiting: 128,
      maxWaitingBytes: 67_108_864,
      adaptive: { min: 1, max: 1_000 },
      fair: true,
    });
  });

  it('of an access log writes every call to standard error', () => {
    const config = sidecarConfig(`${inbound('mtls: strict')}\naccess_log: {}\nfault_injection: true`);
    assert.deepEqual(config.accessLog, { sampleRatio: 1 });
    assert.equal(config.faultInjection, true);
    const plain = sidecarConfig(`${inbound('mtls: strict')}\nfault_injection: false`);
    assert.ok(!('accessLog' in plain) && !('faultInjection' in plain));
  });
});

describe('what decisions leave unsaid', () => {
  it('is off: an upstream has no care and a route no detours', () => {
    const upstream = upstreamOf(route('timeout: 1s'));
    for (const key of ['health', 'breaker', 'slowStart', 'locality']) assert.ok(!(key in upstream), key);
    for (const key of ['hedge', 'fallback', 'split', 'mirror', 'maxTimeoutMs'])
      assert.ok(!(key in upstream.routes[0]!), key);
  });

  it('observes what endpoints are about to do, unless that is off', () => {
    assert.deepEqual(upstreamOf('foresight: {}').foresight, { mode: 'observe' });
    assert.equal(upstreamOf('foresight: {mode: off}').foresight, undefined);
  });

  it('keeps the other detectors at their defaults', () => {
    const { latency, successRatio } = upstreamOf('ejection: {detectors: {latency: {mode: off}}}').ejection
      .detectors!;
    assert.deepEqual(latency, { mode: 'off', factor: 3, minCalls: 20 });
    assert.equal(successRatio!.mode, 'enforce');
  });

  it('puts a call without a class into the last one, and calls that no match takes into the upstream itself', () => {
    assert.equal(queueOf('{priority: {key: p, classes: [high, low]}}').priority!.defaultClass, 'low');
    const { split } = routeOf('split: {match: [{key: k, value: "yes", upstream: lite}]}');
    assert.deepEqual(split!.weights, { u: 1 });
  });

  it('lets come at once what a second allows', () => {
    const limits = sidecarConfig(inbound('rate_limits: [{per_second: 2.5}]'));
    assert.deepEqual(limits.inbound!.rateLimits, [
      { callers: ['*'], methods: ['*'], perSecond: 2.5, burst: 3 },
    ]);
  });

  it('takes none as no bound on deadlines, and a path from where the file lies', () => {
    assert.ok(!('maxTimeoutMs' in routeOf('max_timeout: none')));
    assert.equal(routeOf('max_timeout: 15s').maxTimeoutMs, 15_000);
    const log = sidecarConfig(`${inbound('mtls: strict')}\naccess_log: {path: calls.log, sample_ratio: 0.5}`);
    assert.deepEqual(log.accessLog, { path: '/etc/mesh/calls.log', sampleRatio: 0.5 });
  });
});

describe('contradictions in a route', () => {
  const refused = refusing((more) => sidecarProblems(upstreams(route(more))));
  refused('a hedge that may not be', 'hedge: {}')
    .because(/hedge: found on a route that is not idempotent; expected "idemp/)
    .also('the last good answer to what is new each time', 'fallback: [{kind: last-good}]')
    .because(/fallback\[0\]\.kind: found last-good on a route that is not idempotent/)
    .also(
      'the last good answer to a stream',
      'kind: streaming, idempotent: true, fallback: [{kind: last-good}]',
    )
    .because(/kind: found last-good on a route which is streaming; expected "kind: unary"/)
    .also('a first message of a unary call', 'first_message_timeout: 1s')
    .because(/first_message_timeout: found 1s on a unary route; expected attempt_timeout/)
    .also(
      'two limits to the first message',
      'kind: streaming, first_message_timeout: 1s, attempt_timeout: 2s',
    )
    .because(/first_message_timeout: found 1s beside attempt_timeout; expected one of them/)
    .also('a unary call that is resumed', 'idempotent: true, resumable: true, retry: {}')
    .because(/resumable: found on a unary route; expected "kind: streaming"/)
    .also('a stream that is resumed and never repeated', 'kind: streaming, idempotent: true, resumable: true')
    .because(/resumable: found on a route that repeats nothing; expected "idempotent: true" and retry/)
    .also('what is the same each time, and never asked for again', 'kind: streaming, deterministic: true')
    .because(/deterministic: found without resumable; expected "resumable: true"/)
    .also('a first message after the end', 'kind: streaming, timeout: 1s, first_message_timeout: 2s')
    .because(/first_message_timeout: found 2s; expected at most timeout \(1s\)/)
    .also('a mirror of a stream', 'kind: streaming, mirror: {upstream: lite}')
    .because(/mirror: found on a route which/)
    .also('a copy after the end', 'idempotent: true, timeout: 1s, hedge: {min_delay: 1s}')
    .because(/min_delay: found 1s; expected less than timeout \(1s\), or a copy would never go/)
    .also('a copy after the attempt', 'idempotent: true, attempt_timeout: 50ms, hedge: {min_delay: 80ms}')
    .because(/min_delay: found 80ms; expected less than attempt_timeout \(50ms\)/)
    .also('a grant below what is granted anyway', 'max_timeout: 10s')
    .because(/max_timeout: found 10s; expected at least timeout \(15s by default\)/)
    .also('a copy of every other call', 'idempotent: true, hedge: {percentile: 0.5}')
    .because(/percentile: found 0\.5; expected a percentile above 0\.5, at most 0\.999/)
    .also('a percentile in percent', 'idempotent: true, hedge: {percentile: 95}')
    .because(/percentile: found 95; expected a percentile/)
    .also('no fallback in a list of them', 'fallback: []')
    .because(/fallback: found an empty list; expected at least one/)
    .also('a fallback to no upstream', 'fallback: [{kind: upstream}]')
    .because(/fallback\[0\]\.upstream: missing/)
    .also('a fallback that is two things', 'idempotent: true, fallback: [{kind: last-good, upstream: lite}]')
    .because(/upstream: found with last-good, which calls no upstream/)
    .also('metadata in upper case', 'idempotent: true, fallback: [{kind: last-good, vary: [X-Tenant]}]')
    .because(/vary\[0\]: found "X-Tenant"; expected a metadata key: .*; did you mean "x-tenant"\?/)
    .also('an age of what is not kept', 'fallback: [{kind: upstream, upstream: lite, max_age: 1m}]')
    .because(/max_age: found with upstream, which keeps nothing/)
    .also('a fallback of a kind that is none', 'fallback: [{kind: last_good}]')
    .because(/kind: found "last_good"; expected one of upstream, last-good; did you mean "last-good"\?/)
    .also('a fallback to an upstream that does not exist', 'fallback: [{kind: upstream, upstream: lit}]')
    .because(
      /upstream: found "lit", which is no upstream of this file; expected one of lite; did you mean "lite"\?/,
    )
    .also('a fallback to itself', 'fallback: [{kind: upstream, upstream: u}]')
    .because(/upstream: found "u" itself; expected another upstream/)
    .also('a mirror nowhere', 'mirror: {upstream: x}')
    .because(/mirror\.upstream: found "x", which is no upstream/)
    .also('a match that leads nowhere', 'split: {match: [{key: k, value: v, upstream: x}]}')
    .because(/match\[0\]\.upstream: found "x", which is no upstream of this file; expected one of u, lite/)
    .also('weights of nothing', 'split: {weights: {u: 0, lite: 0}}')
    .because(/weights: found only weights of 0/)
    .also('no weights', 'split: {weights: {}}')
    .because(/weights: found none; expected the weight of at least one/)
    .also('a negative weight', 'split: {weights: {u: 2, lite: -1}}')
    .because(/lite: found -1; expected a number from 0/)
    .also('a split by a reserved key', 'split: {weights: {u: 1}, sticky_by: grpc-timeout}')
    .because(/sticky_by: .*does not begin with "grpc-"/)
    .also('a mirror of nothing', 'mirror: {upstream: lite, ratio: 0}')
    .because(/ratio: found 0; expected a ratio from 0\.0001/);
  refused(
    'metadata that tells nothing apart',
    'idempotent: true, fallback: [{kind: upstream, upstream: lite, vary: [x-tenant]}]',
  ).because(/vary: found with upstream, which keeps nothing; expected "kind: last-good"/);
  refused(
    'a fallback twice',
    'fallback: [{kind: upstream, upstream: lite}, {kind: upstream, upstream: lite}]',
  ).because(/fallback\[1\]: found "lite" again, as in fallback\[0\]/);
  refused('a mirror of itself', 'mirror: {upstream: u}').because(/mirror\.upstream: found "u" itself/);
  refused('weights for an upstream that does not exist', 'split: {weights: {u: 95, liet: 5}}').because(
    /split\.weights\.liet: found "liet", which is no upstream of this file; .*did you mean "lite"\?/,
  );
  refused('an empty split', 'split: {}').because(/split: found neither match nor weights/);

  it('says both when a stream that is not idempotent is mirrored and hedged', () => {
    const text = upstreams(route('kind: streaming, hedge: {}, mirror: {upstream: lite}'));
    assert.equal(sidecarProblems(text).length, 2);
  });

  it('lets a stream be hedged, and fall back to another upstream', () => {
    const said = 'hedge: {}, fallback: [{kind: upstream, upstream: lite}], first_message_timeout: 2s';
    const route = routeOf(`kind: streaming, idempotent: true, ${said}`);
    assert.deepEqual([route.hedge?.percentile, route.firstMessageTimeoutMs], [0.95, 2000]);
  });

  it('says where it is a stream only because nothing else is said', () => {
    const text = upstreams('routes: [{methods: ["*"], mirror: {upstream: lite}}]');
    assert.match(sidecarProblems(text)[0]!, /which is streaming by default; expected "kind: unary"/);
  });

  it('lets a deadline be bounded on a stream, which has no timeout', () => {
    const text = upstreams('routes: [{methods: ["*"], max_timeout: 1h}]');
    assert.equal(sidecarConfig(text).outbound!.upstreams[0]!.routes[0]!.maxTimeoutMs, 3_600_000);
  });

  it('lets a split keep a share, and two upstreams split to each other', () => {
    const both = 'split: {weights: {u: 1, v: 1}}';
    sidecarConfig(
      upstreams(route(both), `, v: {listen: "127.0.0.1:3", endpoints: ["10.0.0.3:1"], ${route(both)}}`),
    );
  });
});

describe('circles of fallbacks', () => {
  const to = (name: string) => route(`fallback: [{kind: upstream, upstream: ${name}}]`);
  const other = (name: string, port: number, next: string) =>
    `, ${name}: {listen: "127.0.0.1:${port}", endpoints: ["10.0.0.9:${port}"], ${to(next)}}`;

  it('are refused where they close, with the way round', () => {
    const problems = sidecarProblems(upstreams(to('v'), other('v', 3, 'w') + other('w', 4, 'u')));
    assert.equal(problems.length, 1);
    assert.match(
      problems[0]!,
      /upstreams\.w\.routes\[0\]\.fallback\[0\]\.upstream: found "u", which leads back here: w → u → v → w; expected fallbacks that come to an end/,
    );
  });

  it('are refused in a mesh file too', () => {
    const upstream = (port: number, next: string) => `{listen: "127.0.0.1:${port}", ${to(next)}}`;
    const problems = meshProblems(
      `services: {a: {models: x}, b: {models: x}}\ncaller: {name: app, upstreams: {a: ${upstream(1, 'b')}, b: ${upstream(2, 'a')}}}`,
    );
    assert.equal(problems.length, 1);
    assert.match(problems[0]!, /caller\.upstreams\.b\.routes\[0\].*leads back here: b → a → b/);
  });

  it('are not seen where two ways lead to the same end', () =>
    sidecarConfig(upstreams(to('v'), other('v', 3, 'lite') + other('w', 4, 'lite'))));
});

describe('contradictions of an upstream', () => {
  const refused = refusing((more) => upstreamProblems(upstreamWith(more)));
  refused('a share of nothing at the begin', 'slow_start: {min_ratio: 0}')
    .because(/min_ratio: found 0; expected a ratio from 0\.01/)
    .also('a begin that never ends', 'slow_start: {max: 2h}')
    .because(/slow_start\.max: found "2h"; expected 100ms to 1h/)
    .also('faster than its peers', 'slow_start: {converged_factor: 0.5}')
    .because(/converged_factor: found 0\.5; expected a number/)
    .also('a check that outlasts its interval', 'health: {interval: 500ms, timeout: 1s}')
    .because(/timeout: found 1s; expected at most interval \(500ms\)/)
    .also('a service for a ping', 'health: {kind: ping, service: digits}')
    .because(/service: found with ping, which asks for no service/)
    .also('a kind without its block', 'health: grpc')
    .because(/health: found "grpc"; .*; did you mean \{ kind: grpc \}\?/)
    .also('a breaker that lets nothing through', 'breaker: {max_in_flight: 0}')
    .because(/max_in_flight: found 0; expected a whole number from 1 to 1000000, or none/)
    .also('foresight that ejects', 'foresight: {mode: eject}')
    .because(/mode: found "eject"; expected one of observe, enforce, off/)
    .also('a mode that is none', 'ejection: {detectors: {latency: {mode: on}}}')
    .because(/mode: found "on"; expected one of enforce, observe, off/)
    .also('a ratio that ejects every endpoint', 'ejection: {detectors: {success_ratio: {below: 1}}}')
    .because(/below: found 1; expected a ratio from 0\.01 to 0\.999/)
    .also('an unknown detector', 'ejection: {detectors: {success: {}}}')
    .because(/detectors\.success: unknown option/);
  refused('a wake of nothing', 'cold_start: {wake: {}}').because(
    /wake\.url: missing; expected a URL, or command/,
  );
  refused('two wakes', 'cold_start: {wake: {url: "http://h/", command: [x]}}').because(
    /wake\.command: found beside url/,
  );
  refused('a wake without a program', 'cold_start: {wake: {command: []}}').because(/at least the program/);
  for (const url of ['ftp://h/', 'h:1', 'http://user@h/', 'http:// h/'])
    refused(`a wake at ${url}`, `cold_start: {wake: {url: "${url}"}}`).because(/wake\.url: .*a URL such as/);
  refused('no place', 'locality: {}').because(/locality\.own: missing; expected the name of a place/);
  refused('a bound in words', 'breaker: {max_pending: many}').because(/max_pending: found "many"; expected/);
});

describe('contradictions before the model', () => {
  const refused = refusing((more) => sidecarProblems(inbound(more)));
  refused('bounds the wrong way round', 'queue: {adaptive: {min: 9, max: 3}}')
    .because(/adaptive\.min: found 9; expected at most max \(3\)/)
    .also(
      'longest waits for some classes',
      'queue: {priority: {key: x-class, classes: [a, b], max_wait: [1s]}}',
    )
    .because(/max_wait: found 1 durations; expected one for each of the 2 classes/)
    .also('a beginning outside its bounds', 'queue: {adaptive: {min: 4, max: 8}}')
    .because(/concurrency: found 2; expected adaptive\.min to adaptive\.max \(4 to 8\)/)
    .also('a class twice', 'queue: {priority: {key: p, classes: [a, b, a]}}')
    .because(/classes\[2\]: found "a" again, as in classes\[0\]/)
    .also('one class', 'queue: {priority: {key: p, classes: [a]}}')
    .because(/classes: found a list; expected at least two classes/)
    .also('a rate of nothing', 'rate_limits: [{per_second: 0}]')
    .because(/per_second: found 0; expected a number from 0\.001/)
    .also('a burst of nothing', 'rate_limits: [{per_second: 1, burst: 0}]')
    .because(/burst: found 0; expected a whole number from 1/)
    .also('a limit that never holds', 'rate_limits: [{per_second: 1}, {callers: [web], per_second: 9}]')
    .because(/rate_limits\[1\]: found a limit that is never reached: rate_limits\[0\] already takes all/)
    .also('a model that is called otherwise', 'rate_limits: [{model: large, per_second: 1}]')
    .because(/rate_limits\[0\]\.model: unknown option; .*did you mean "models"\?/)
    .also('no model', 'rate_limits: [{models: [], per_second: 1}]')
    .because(/models: found an empty list; expected at least one model/)
    .also('a version of no model', 'rate_limits: [{version: "2", per_second: 1}]')
    .because(/version: found without models; expected it beside one model/)
    .also('a version of two models', 'rate_limits: [{models: [a, b], version: "2", per_second: 1}]')
    .because(/version: found beside 2 models; expected it beside one model/)
    .also(
      'a model of methods without',
      'rate_limits: [{models: [a], methods: [/shop.Prices/*], per_second: 1}]',
    )
    .because(/methods\[0\]: found "\/shop.Prices\/\*" beside models; expected methods that name a model/)
    .also(
      'a model whose calls are taken',
      'rate_limits: [{models: [a, b], per_second: 1}, {models: [b], per_second: 9}]',
    )
    .because(/rate_limits\[1\]: found a limit that is never reached: rate_limits\[0\]/)
    .also('a line of one byte', 'queue: {max_waiting_bytes: 1B}')
    .because(/max_waiting_bytes: found "1B"; expected 64KiB/)
    .also('a grant below its timeout', 'routes: [{methods: ["*"], timeout: 2s, max_timeout: 1s}]')
    .because(/max_timeout: found 1s; expected at least timeout \(2s\)/);
  refused(
    'a class for the rest that is none',
    'queue: {priority: {key: p, classes: [high, low], default_class: lo}}',
  ).because(/default_class: found "lo"; expected one of the classes high, low; did you mean "low"\?/);
  const classed = (models: string): string =>
    `queue: {priority: {key: p, classes: [high, low], models: [${models}]}}`;
  const boundTo = (callers: string) =>
    `queue: {priority: {key: p, classes: [high, mid, low], callers: [${callers}]}}`;
  refused('callers of a class that is none', boundTo('{class: hig, callers: [a]}')).because(
    /callers\[0\]\.class: found "hig"; expected one of the classes high, mid, low; did you mean "high"\?/,
  );
  refused('callers of the class of no name', boundTo('{class: low, callers: [a]}')).because(
    /callers\[0\]\.class: found low, which every call has that names no class/,
  );
  refused(
    'callers of a class twice',
    boundTo('{class: mid, callers: [a]}, {class: mid, callers: [b]}'),
  ).because(/callers\[1\]: found mid again, as in callers\[0\]/);
  refused('a class of a model that is none', classed('{model: a, class: hig}')).because(
    /models\[0\]\.class: found "hig"; expected one of the classes high, low; did you mean "high"\?/,
  );
  refused('two classes of one model', classed('{model: a, class: high}, {model: a, class: low}')).because(
    /models\[1\]: found a again, as in models\[0\]; expected each once/,
  );
  refused('a limit without a rate', 'rate_limits: [{callers: [web]}]').because(
    /rate_limits\[0\]: found no limit; expected per_second, tokens_per_minute or both/,
  );
  refused('a burst of tokens', 'engine: vllm, rate_limits: [{tokens_per_minute: 100, burst: 3}]')
    .because(/burst: found without per_second; expected with it/)
    .also('tokens of no engine', 'rate_limits: [{tokens_per_minute: 100}]')
    .because(/rate_limits\[0\]\.tokens_per_minute: found without engine; expected with "engine: vllm"/)
    .also('tokens of another engine', 'engine: sglang, queue: {cost: tokens}')
    .because(/queue\.cost: found beside an engine whose tokens are not counted; expected with "engine: vllm"/)
    .also('a default of no engine', 'default_max_tokens: 100')
    .because(/default_max_tokens: found without engine/)
    .also('a queue as wide as no engine', 'queue: {concurrency: auto}')
    .because(/queue\.concurrency: found without engine; expected with "engine: vllm"/)
    .also('two ways to find its width', 'engine: vllm, queue: {concurrency: auto, adaptive: {}}')
    .because(/queue\.concurrency: found auto beside adaptive; expected one of them/)
    .also('a name of what no engine runs', 'engine_model: llama')
    .because(/engine_model: found without engine; expected with "engine"/)
    .also('a name that no header may have', 'engine: vllm, engine_model: "llama "')
    .because(/engine_model: found "llama "; expected at most 128 printable ASCII characters/)
    .also('tokens of a model', 'engine: vllm, rate_limits: [{models: [a], tokens_per_minute: 100}]')
    .because(/tokens_per_minute: found beside models; expected without/)
    .also('calls of a model of an engine', 'engine: vllm, rate_limits: [{models: [a], per_second: 1}]')
    .because(/rate_limits\[0\]\.models: found beside engine; expected without, as requests of an engine name/)
    .also('a queue of a model of an engine', 'engine: sglang, queue: {models: [{model: a, concurrency: 1}]}')
    .because(/queue\.models: found beside engine/)
    .also(
      'a class of a model of an engine',
      'engine: vllm, queue: {priority: {key: p, classes: [a, b], models: [{model: m, class: a}]}}',
    )
    .because(/queue\.priority\.models: found beside engine/)
    .also(
      'callers of a model of an engine',
      'engine: vllm, intentions: [{from: web, to: "*", action: allow, models: [llama]}]',
    )
    .because(/intentions\[0\]\.models: found beside engine; .*, and every call would be refused/)
    .also(
      'tokens of calls that use none',
      'engine: vllm, rate_limits: [{methods: [/vllm.grpc.engine.VllmEngine/Abort], tokens_per_minute: 100}]',
    )
    .because(
      /rate_limits\[0\]\.methods: found no method whose calls use tokens; expected "\/vllm\..*Generate"/,
    )
    .also('tokens in a queue of calls', 'engine: vllm, queue: {max_waiting_tokens: 100}')
    .because(/max_waiting_tokens: found without "cost: tokens"/)
    .also('another unit', 'engine: vllm, queue: {cost: bytes}')
    .because(/cost: found "bytes"; expected .*calls.*tokens/);

  it('limits tokens, calls or both', () => {
    const limits =
      'rate_limits: [{callers: [web], per_second: 2, tokens_per_minute: 9}, {tokens_per_minute: 8}]';
    const queue = 'queue: {cost: tokens, max_waiting_tokens: 7}';
    const found = sidecarConfig(
      inbound(`engine: vllm, engine_model: a b, default_max_tokens: 6, ${queue}, ${limits}`),
    ).inbound!;
    assert.deepEqual(found.rateLimits, [
      { callers: ['web'], methods: ['*'], perSecond: 2, burst: 2, tokensPerMinute: 9 },
      { callers: ['*'], methods: ['*'], tokensPerMinute: 8 },
    ]);
    const { engine, engineModel, defaultMaxTokens } = found;
    const { cost, maxWaitingTokens } = found.queue;
    assert.deepEqual([engine, engineModel, defaultMaxTokens], ['vllm', 'a b', 6]);
    assert.deepEqual([cost, maxWaitingTokens], ['tokens', 7]);
  });

  it('reads a queue that is as wide as its engine, and writes it back', () => {
    const config = sidecarConfig(inbound('engine: vllm, queue: {concurrency: auto}'));
    assert.equal(config.inbound!.queue.concurrency, 0);
    assert.match(stringifySidecar(config), /concurrency: auto/);
  });

  it('lets a wider limit follow a narrower one', () => {
    const limits = 'rate_limits: [{callers: [web], per_second: 9}, {per_second: 1}]';
    assert.equal(sidecarConfig(inbound(limits)).inbound!.rateLimits!.length, 2);
    const byModel = [
      '{models: [a], version: "2", per_second: 1}',
      '{models: [a], version: "3", per_second: 1}',
      '{models: [a, b], per_second: 2}',
      '{models: [a, c], per_second: 3}',
      '{per_second: 9}',
    ];
    const found = sidecarConfig(inbound(`rate_limits: [${byModel.join(', ')}]`)).inbound!.rateLimits!;
    assert.deepEqual(
      found.map(({ models, version }) => [models?.join(), version]),
      [
        ['a', '2'],
        ['a', '3'],
        ['a,b', undefined],
        ['a,c', undefined],
        [undefined, undefined],
      ],
    );
  });
});

describe('decisions in a mesh file', () => {
  const mesh = (service: string, more = '') =>
    `services: {digits: {models: m, ${service}}}\ncaller: {name: app, upstreams: {digits: {listen: "127.0.0.1:1"}}}\n${more}`;

  it('stand with the service, the upstream and the mesh', () => {
    const config = meshConfig(
      mesh(
        'rate_limits: [{callers: [app], per_second: 5}], queue: {fair: true}',
        'access_log: {path: calls.log}\nfault_injection: true',
      ),
    );
    const [digits] = config.services;
    assert.deepEqual(digits!.rateLimits, [{ callers: ['app'], methods: ['*'], perSecond: 5, burst: 5 }]);
    assert.equal(digits!.queue.fair, true);
    assert.deepEqual(config.accessLog, { path: '/etc/mesh/calls.log', sampleRatio: 1 });
    assert.equal(config.faultInjection, true);
    assert.equal(config.caller.upstreams[0]!.ejection.detectors!.latency!.mode, 'enforce');
  });

  it('limit a caller of the mesh, unless Consul knows others', () => {
    const limited = mesh('rate_limits: [{callers: [ap], per_second: 5}]');
    assert.match(
      meshProblems(limited).join('\n'),
      /services\.digits\.rate_limits\[0\]\.callers\[0\]: found "ap", which is no service of this mesh; .*did you mean "app"\?/,
    );
    meshConfig(`${limited}\nconsul: {}`);
  });
});
