/** What rules of the registry, detectors, second copies, breakers, fallbacks and the access log add to a call. */

import { ModelView } from '../../../sidecar/cluster/served-models/model-key.js';
import { type Permission, PermissionList } from '../../../sidecar/core/authorization/permissions.js';
import { EndpointLoad } from '../../../sidecar/core/balancing/balancer.js';
import { hashText } from '../../../sidecar/core/balancing/hash.js';
import { RingHash } from '../../../sidecar/core/balancing/ring-hash.js';
import { SlowStart } from '../../../sidecar/core/balancing/slow-start.js';
import { subsetOf } from '../../../sidecar/core/balancing/subset.js';
import { apply, type Health } from '../../../sidecar/core/discovery/eviction-guard.js';
import { AttemptEnd } from '../../../sidecar/core/outcome/outcome.js';
import { CallClasses } from '../../../sidecar/core/outlier/call-class.js';
import { DetectorState } from '../../../sidecar/core/outlier/detector-state.js';
import { activeDetectors, signalsOf } from '../../../sidecar/core/outlier/detectors.js';
import { Latencies } from '../../../sidecar/core/outlier/latency.js';
import { OutcomeWindow } from '../../../sidecar/core/outlier/outcome-window.js';
import { findSuspects } from '../../../sidecar/core/outlier/sweep.js';
import { CircuitBreakerLimits } from '../../../sidecar/core/retry/breaker-limits.js';
import { decideRetry } from '../../../sidecar/core/retry/decide-retry.js';
import { Hedge } from '../../../sidecar/core/retry/hedge.js';
import { PrimaryBreaker } from '../../../sidecar/core/retry/primary-breaker.js';
import { RetryBudget } from '../../../sidecar/core/retry/retry-budget.js';
import { NO_PUSHBACK, RetryState } from '../../../sidecar/core/retry/retry-state.js';
import { drawLeg, matchRoute, type TrafficRoute } from '../../../sidecar/core/routing/route-match.js';
import { Percentile } from '../../../sidecar/core/stats/percentile.js';
import { compileRe2, type Re2Pattern } from '../../../sidecar/discovery/re2-pattern.js';
import { makeField } from '../../../sidecar/http2/hpack/field.js';
import { HeaderBlock, StableList } from '../../../sidecar/http2/hpack/header-list.js';
import { createLineWriter } from '../../../sidecar/runtime/log/logger.js';
import { AccessLog } from '../../../sidecar/telemetry/access-log.js';
import type { EndedCall } from '../../../sidecar/telemetry/call-record.js';
import { StatsRegistry } from '../../../sidecar/telemetry/call-stats.js';
import { ALL_DETECTORS } from '../../kit/core/ejections.js';
import { anInferRequest, kept } from '../../kit/service/infer-requests.js';
import { PATHS } from '../load/protocol.js';
import { always, beside, type DecisionCost, instead, option, TIMES } from './cost.js';
import { benchPrompts } from './prompts.js';

/** Work of microseconds needs no more to be told from noise. */
const FEWER = TIMES / 30;
const FEWEST = TIMES / 300;

function endpoints(size: number): EndpointLoad[] {
  return Array.from({ length: size }, (_, i) =>
    Object.assign(new EndpointLoad(), { label: `10.0.${i >> 8}.${i & 255}:8080` }),
  );
}

function ruling(): DecisionCost[] {
  const ring = new RingHash(Math.random);
  const three = endpoints(3);
  const keys = Array.from({ length: 64 }, (_, i) => hashText(`user-${i}`));
  const to = (cluster: string, weight: number) => ({ cluster, weight });
  const canary = { name: 'x-user', regex: pattern('tester-[0-9]+'), invert: false };
  const routes: TrafficRoute[] = [
    { match: { exact: PATHS.stream, headers: [] }, split: [to('a', 1)] },
    { match: { prefix: '/', headers: [canary] }, split: [to('b', 1)] },
    { split: [to('a', 90), to('b', 10)] },
  ];
  const lookup = (): readonly string[] => ['user-12345'];
  const tenant = {
    name: 'x-tenant',
    kind: 'exact',
    value: 'blocked',
    invert: false,
    ignoreCase: false,
  } as const;
  const rules: Permission[] = [
    { action: 'deny', pathPrefix: '/admin.' },
    { action: 'deny', pathExact: PATHS.unary, headers: [tenant] },
    { action: 'allow', pathPrefix: '/', methods: ['POST'] },
  ];
  const permissions = new PermissionList(rules, 'deny', compileRe2);
  const facts = { method: 'POST', path: PATHS.unary, headers: () => ['acme'] };
  return [
    instead('ring hash, 3 endpoints', (call) => ring.pick(three, [], call / 100, keys[call & 63]!)),
    option('traffic route, the third with a pattern', () => matchRoute(routes, PATHS.unary, lookup)),
    option('cluster by weight', () => drawLeg(routes[2]!, Math.random)),
    option('permissions of a call, 3 rules', () => permissions.decide(facts)),
    instead('RE2 pattern, 10 characters', () => canary.regex.test('user-12345')),
  ];
}

function pattern(source: string): Re2Pattern {
  const made = compileRe2(source);
  if ('fault' in made) throw new Error(made.fault);
  return made;
}

function again(): DecisionCost[] {
  const budget = new RetryBudget({ ratio: 1, perSecond: 1e9 });
  const retry = { attempts: 3, on: [14], backoff: { baseMs: 10, maxMs: 100 } };
  const route = { idempotent: true, retry };
  const failure = {
    ...{ ended: AttemptEnd.trailers, status: 14, pushbackMs: NO_PUSHBACK, isMarkedUnprocessed: false },
    ...{ isCommitted: false, isRequestHeld: true, isOtherAvailable: true, timeLeftMs: 10_000 },
  } as const;
  const latencies = new Percentile();
  for (let i = 0; i < 1_000; i++) latencies.record(4 + (i & 7), 0);
  const hedge = new Hedge();
  const late = { percentile: 0.95, minDelayMs: 1, maxRatio: 0.1 } as const;
  const breaker = new CircuitBreakerLimits({ maxPending: 128, maxInFlight: 1024, maxRetries: 64 });
  const wayBack = new PrimaryBreaker(Math.random);
  return [
    instead('retry or not, after a failure', (call) => {
      const state = new RetryState();
      state.attempts = 1;
      return decideRetry({ state, facts: failure, route, budget, random: Math.random, nowMs: call });
    }),
    option('when a second copy is due', (call) => hedge.begin(late, latencies, 15_000, call / 100)),
    option('percentile, one latency', (call) => latencies.record(4 + (call & 7), call / 100)),
    option('breaker, in and out', () => {
      breaker.leave();
      return breaker.enter();
    }),
    option('fallback at once or not', (call) => wayBack.route(call)),
  ];
}

function finding(): DecisionCost[] {
  const window = new OutcomeWindow();
  const latencies = new Latencies();
  const kinds = new CallClasses();
  const view = new ModelView();
  const request = kept(anInferRequest('digits'));
  const slow = new SlowStart({ minRatio: 0.1, convergedFactor: 1.5, minCalls: 1e9, maxMs: 1e12 }, 0);
  const { invalidOutput: _, ...settings } = ALL_DETECTORS;
  const active = activeDetectors(settings);
  const members = Array.from({ length: 8 }, () => {
    const state = new DetectorState();
    state.prepare(signalsOf(active));
    for (let i = 0; i < 200; i++) {
      state.outcomes!.success(i);
      state.latencies!.record(0, 4 + (i & 3), i);
    }
    return state;
  });
  return [
    always('success ratio, one success', (call) => window.success(call / 100)),
    always('latency by kind of call, one success', (call) => {
      view.read(request);
      const kind = kinds.indexOf(PATHS.unary, view.bytes, view.length, request.bytes, call / 100);
      latencies.record(kind, 4, call / 100);
    }),
    option('slow start, one success', (call) => slow.record(5, 4, call / 100)),
    beside('detectors over 8 endpoints', () => findSuspects(members, active, 300), FEWER),
  ];
}

/** Discovery: once per answer of the registry. */
function listing(): DecisionCost[] {
  const instances = (size: number, status: Health) =>
    Array.from({ length: size }, (_, i) => ({ key: `10.0.0.${i}:8080`, status }));
  const all = instances(100, 'passing');
  const fewer = all.slice(0, 40);
  const many = endpoints(1_000);
  const before = apply(undefined, all, () => true, 0, 60_000);
  const answered = (answer: typeof all, nowMs: number) => apply(before, answer, () => true, nowMs, 60_000);
  return [
    beside('registry, 100 instances', (call) => answered(all, call), FEWER),
    beside('registry, 60 of 100 lost at once', (call) => answered(fewer, call & 1023), FEWER),
    beside('subset, 128 of 1 000', (call) => subsetOf(many, ({ label }) => label, 128, call), FEWEST),
  ];
}

/** Everything of a line but the disk. */
function writing(): DecisionCost[] {
  let bytes = 0;
  const count = (line: string): void => {
    bytes += line.length;
  };
  const write = createLineWriter('access', { instance: 'app-1' }, { write: count });
  const source = { nowMs: 1_004.2, random: Math.random };
  const always = new AccessLog(write, 1, 'app', source);
  const seldom = new AccessLog(write, 0, 'app', source);
  const call = endedCall();
  const line = (): number => {
    always.record(call, 0);
    return bytes;
  };
  return [
    option('access log, a line', line, FEWER),
    instead('access log, left out by the sample', () => seldom.record(call, 0)),
  ];
}

function endedCall(): EndedCall {
  let stable = StableList.root();
  const pseudo = { ':method': 'POST', ':scheme': 'http', ':path': PATHS.unary, ':authority': 'localhost' };
  for (const [name, value] of Object.entries({
    ...pseudo,
    'content-type': 'application/grpc',
    te: 'trailers',
  }))
    stable = stable.with(makeField(name, value));
  const attempt = {
    ...{ target: { label: '10.0.0.1:8080' }, startMs: 1_000.1, endedMs: 1_004.1 },
    ...{ ended: AttemptEnd.trailers, status: 0, outcome: 0, trailers: null, previous: null },
    ...{ spanId: '', isHedge: false, isSilent: false, reason: '', resumedAfter: -1, waitedMs: 0 },
  };
  return {
    ...{ startMs: 1_000, deadlineMs: 16_000, requestBytes: 3_200, responseBytes: 90 },
    stats: new StatsRegistry().callStats({ direction: 'outbound', service: 'digits', method: PATHS.unary }),
    block: new HeaderBlock(stable, null, 250, 6, false, false),
    ...{ session: { identity: null }, plan: { stripsResponse: false } },
    ...{ reason: '', degraded: '', trace: null, attempts: 1, lastAttempt: attempt },
  };
}

/** The costs of what is off by default or not made for every call. */
export function benchRules(): DecisionCost[] {
  return [...ruling(), ...benchPrompts(), ...again(), ...finding(), ...writing(), ...listing()];
}
