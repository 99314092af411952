/**
 * What each decision on the way of a call costs, in nanoseconds: best of several rounds, after a warm-up. Together they
 * must stay far below what one call costs the relay.
 */

import { ANSWER_READERS } from '../../../sidecar/cluster/output-check/answer-readers.js';
import { ModelView } from '../../../sidecar/cluster/served-models/model-key.js';
import { MODEL_INFER } from '../../../sidecar/codec/inference.js';
import { AdaptiveLimit } from '../../../sidecar/core/admission/gradient-limit.js';
import { MemoryPressure } from '../../../sidecar/core/admission/memory-pressure.js';
import { Priorities } from '../../../sidecar/core/admission/priority-class.js';
import { InboundQueue, QueueEntry } from '../../../sidecar/core/admission/queue.js';
import { RateLimits } from '../../../sidecar/core/admission/rate-limit.js';
import { IntentionTable } from '../../../sidecar/core/authorization/intentions.js';
import { EndpointLoad } from '../../../sidecar/core/balancing/balancer.js';
import { LeastLoaded } from '../../../sidecar/core/balancing/least-loaded.js';
import { RoundRobin } from '../../../sidecar/core/balancing/round-robin.js';
import { formatGrpcTimeout, parseGrpcTimeout } from '../../../sidecar/core/deadline/grpc-timeout.js';
import { AttemptEnd, classify, Outcome, outcomesWith } from '../../../sidecar/core/outcome/outcome.js';
import { CallClasses } from '../../../sidecar/core/outlier/call-class.js';
import { RetryBudget } from '../../../sidecar/core/retry/retry-budget.js';
import { ActiveFault, findFault } from '../../../sidecar/core/routing/fault-rule.js';
import { RouteTable } from '../../../sidecar/core/routing/method.js';
import { Split } from '../../../sidecar/core/routing/traffic-split.js';
import { compareResponses } from '../../../sidecar/outbound/mirror/response-diff.js';
import { TimingWheel, WheelTimer } from '../../../sidecar/runtime/time/timing-wheel.js';
import { ALL_DETECTORS, ejectionPool } from '../../kit/core/ejections.js';
import { anAnswer } from '../../kit/service/infer-answers.js';
import { anInferRequest, kept } from '../../kit/service/infer-requests.js';
import { PATHS } from '../load/protocol.js';
import { always, beside, type DecisionCost, instead, option, TIMES, type When } from './cost.js';
import { benchRules } from './rules.js';

function pool(size: number): EndpointLoad[] {
  return Array.from({ length: size }, (_, i) => {
    const load = new EndpointLoad();
    for (let n = 0; n < 20; n++) load.latency.record(4 + i, n);
    return load;
  });
}

function balancing(): DecisionCost[] {
  const least = new LeastLoaded(Math.random);
  const inTurn = new RoundRobin();
  const [one, three, eight] = [pool(1), pool(3), pool(8)];
  return [
    instead('least-loaded, 1 endpoint', (call) => least.pick(one, [], call / 100)),
    always('least-loaded, 3 endpoints', (call) => least.pick(three, [], call / 100)),
    instead('least-loaded, 8 endpoints', (call) => least.pick(eight, [], call / 100)),
    instead('round-robin, 3 endpoints', (call) => inTurn.pick(three, [], call / 100)),
    always('latency of one success', (call) => three[0]!.latency.record(4 + (call & 3), call / 100)),
  ];
}

function judging(): DecisionCost[] {
  const { pool: ejections, members } = ejectionPool(3, {}, Math.random);
  const budget = new RetryBudget({ ratio: 0.2, perSecond: 3 });
  const declared = outcomesWith({ fault: [5], neutral: [13] });
  return [
    always('outcome of one attempt', (call) => classify(AttemptEnd.trailers, call & 15, 5, 1000, 4)),
    instead('outcome of one attempt, as its route says', (call) =>
      classify(AttemptEnd.trailers, call & 15, 5, 1000, 4, declared),
    ),
    always('ejection, one success', (call) =>
      ejections.record(members[call % 3]!, Outcome.success, 0, call / 100, call / 100, 0),
    ),
    instead('ejection, one success, all detectors', withDetectors()),
    always('retry budget, one call', (call) => budget.deposit(call / 100)),
  ];
}

/** What the end of an attempt brings where everything is watched. */
function withDetectors(): (call: number) => unknown {
  const { pool: ejections, members } = ejectionPool(3, { detectors: ALL_DETECTORS }, Math.random);
  const kinds = new CallClasses();
  const view = new ModelView();
  const request = kept(anInferRequest('digits'));
  return (call) => {
    const member = members[call % 3]!;
    const nowMs = call / 10;
    ejections.record(member, Outcome.success, 0, nowMs, 0, 0);
    view.read(request);
    const kind = kinds.indexOf(PATHS.unary, view.bytes, view.length, 128 << (call & 3), nowMs);
    member.latencies!.record(kind, 4 + (call & 7), nowMs);
    return member;
  };
}

function timing(): DecisionCost[] {
  let nowMs = 0;
  const never = { after: () => ({ cancel: () => {} }), every: () => ({ cancel: () => {} }) };
  const wheel = new TimingWheel({ now: () => nowMs, wallNow: () => nowMs }, never);
  const entries = Array.from({ length: 256 }, () => new WheelTimer(() => {}));
  return [
    always('grpc-timeout, read', (call) => parseGrpcTimeout((call & 1) === 0 ? '9123456u' : '15S')),
    always('grpc-timeout, written', (call) => formatGrpcTimeout(9000 + (call & 511))),
    always('deadline, set and cancelled, 256 in flight', (call) => {
      const entry = entries[call & 255]!;
      nowMs = call / 100;
      wheel.cancel(entry);
      wheel.add(entry, nowMs + 15_000);
      return entry;
    }),
  ];
}

const QUEUE = { concurrency: 2, maxWaiting: 128, maxWaitingBytes: 1 << 26 };

function admitting(): DecisionCost[] {
  const routes = new RouteTable([PATHS.stream, PATHS.unary, '*'].map((method) => ({ methods: [method] })));
  const table = new IntentionTable([{ from: 'caller', to: 'echo', action: 'allow' }], 'deny', 1);
  const queue = new InboundQueue<QueueEntry>(QUEUE);
  const entry = new QueueEntry();
  return [
    always('route of a method', () => routes.match(PATHS.unary)),
    always('intention of a caller', () => table.allows('caller', 'echo')),
    always('queue, in and out', (call) => {
      queue.offer(entry, 105, call + 1000, call);
      queue.release(entry, call + 1);
      return queue.next(call + 1);
    }),
  ];
}

/** What the inbound limits add where they are switched on. */
function limiting(): DecisionCost[] {
  const rates = new RateLimits([
    { callers: ['batch'], methods: ['*'], perSecond: 10, burst: 10 },
    { callers: ['*'], methods: [PATHS.unary], perSecond: 1e9, burst: 1e9 },
  ]);
  const rated = { caller: 'caller', path: PATHS.unary, model: '', version: '', isUnreadable: false };
  const classes = ['interactive', 'batch', 'background'];
  const priorities = new Priorities({ key: 'x-class', classes, defaultClass: 'batch' });
  const adaptive = new AdaptiveLimit({ min: 1, max: 1_000 }, 8);
  const memory = new MemoryPressure(() => ({ usedBytes: 1, limitBytes: 2 }));
  return [
    option('rate limit of a caller', (call) => rates.take(rated, call / 100)),
    option('class of a call', (call) => priorities.classOf(classes[call % 3]!)),
    option('queue with classes and turns, 64 waiting', throughTheLine()),
    option('adaptive limit, one run', (call) => adaptive.record(call / 100 - 5, call / 100, true)),
    always('memory pressure, one call', (call) => memory.at(call / 100)),
  ];
}

/** What splits and drills add where they are switched on, and what comparing two answers costs beside the calls. */
function shaping(): DecisionCost[] {
  const weights = { digits: 95, canary: 5 };
  const byWeight = new Split({ match: [], weights });
  const sticky = new Split({ match: [], weights, stickyBy: 'x-user' });
  const users = Array.from({ length: 64 }, (_, i) => `user-${i}`);
  const lookup = (call: number): string | undefined => users[call & 63];
  const rule = { side: 'outbound', peer: 'digits', method: '*', delayMs: 0, abort: 14 } as const;
  const faults = [0.1, 0.05].map((ratio, i) => new ActiveFault(i, { ...rule, ratio }, 1e12));
  const answer = kept(anAnswer(Array.from({ length: 10 }, (_, i) => i / 45)));
  return [
    option('split by weight', (call) => byWeight.choose(lookup, call, Math.random)),
    instead('split by a key', (call) => sticky.choose(lookup, call, Math.random)),
    option('injected faults, two on', (call) => findFault(faults, 'digits', PATHS.unary, call, Math.random)),
    beside(
      'two answers of 10 classes compared',
      () => compareResponses(answer, answer, { tolerance: 1e-4, seed: 1 }),
      TIMES / 10,
    ),
    ...ofLargeAnswers(),
  ];
}

/** What a sample of large answers costs, of one that came by itself in reads of 64 KiB. */
function ofLargeAnswers(): DecisionCost[] {
  const large = (numbers: number) => {
    const body = anAnswer(Array.from({ length: numbers }, (_, i) => i / numbers));
    return kept(body, 65_536);
  };
  const [some, most] = [large(75_000), large(1_048_000)];
  const fewer = TIMES / 1_000;
  const options = { tolerance: 1e-4, seed: 1 };
  return [
    beside('an answer of 300 KB inspected', (call) => ANSWER_READERS.get(MODEL_INFER)!(some, call), fewer),
    beside('an answer of 4 MiB inspected', (call) => ANSWER_READERS.get(MODEL_INFER)!(most, call), fewer),
    beside('two answers of 4 MiB compared', () => compareResponses(most, most, options), fewer),
  ];
}

/** One comes, one ends, the next goes. */
function throughTheLine(): (call: number) => unknown {
  const queue = new InboundQueue<QueueEntry>({ ...QUEUE, fair: true });
  const make = (i: number): QueueEntry =>
    Object.assign(new QueueEntry(), { queueClass: i % 3, queueCaller: `caller-${i % 5}` });
  let running: QueueEntry | null = make(0);
  queue.offer(running, 0, Number.POSITIVE_INFINITY, 0);
  for (let i = 1; i < 66; i++) queue.offer(make(i), 105, Number.POSITIVE_INFINITY, 0);
  return (call) => {
    const gone = running!;
    queue.release(gone, call);
    running = queue.next(call);
    queue.offer(gone, 105, Number.POSITIVE_INFINITY, call);
    return running;
  };
}

/** Measures every decision, one after the other. */
export function benchDecisions(): DecisionCost[] {
  const parts = [balancing, judging, timing, admitting, limiting, shaping, benchRules];
  return parts.flatMap((part) => part());
}

/** The costs as text, grouped by when a decision is made, with totals. */
export function renderDecisions(costs: readonly DecisionCost[]): string {
  const line = (name: string, ns: number): string => `${name.padEnd(46)} ${ns.toFixed(1).padStart(8)} ns`;
  const group = (title: string, when: When): string[] => {
    const rows = costs.filter((cost) => cost.when === when).map(({ name, ns }) => line(`  ${name}`, ns));
    return rows.length === 0 ? [] : [title, ...rows, ''];
  };
  const total = (...whens: readonly When[]): number =>
    costs.filter(({ when }) => whens.includes(when)).reduce((sum, { ns }) => sum + ns, 0);
  return [
    ...group('of every call', 'always'),
    ...group('of every call where it is switched on', 'option'),
    ...group('instead of one of these', 'instead'),
    ...group('not on the way of a call', 'beside'),
    line('total per call, as by default', total('always')),
    line('total per call, with everything switched on', total('always', 'option')),
  ].join('\n');
}
