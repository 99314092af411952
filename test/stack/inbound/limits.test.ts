/** The limits of the inbound side: rates of callers, classes and turns in the line, a number found, memory that runs short. */
import assert from 'node:assert/strict';
import { queueReport } from '../../../sidecar/app/endpoint-report.js';
import type { RateLimitConfig } from '../../../sidecar/config/model.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { assertEnd, assertUnprocessed, statusesOf } from '../../kit/stack/call-ends.js';
import { metricsIn } from '../../kit/stack/metrics.js';
import { ModelStack } from '../../kit/stack/model-stack.js';
import {
  type Application,
  aRoute,
  aStreamRoute,
  type CallOptions,
  type InboundOptions,
} from '../../kit/stack/stack.js';

const CHECK = '/grpc.health.v1.Health/Check';
const READY = '/inference.GRPCInferenceService/ModelReady';
const ANY_CALLER = [{ from: '*', to: 'digits', action: 'allow' }] as const;
const PRIORITY = { key: 'x-class', classes: ['now', 'soon', 'later'], defaultClass: 'soon' };
const MIB = 1024 * 1024;
const rate = (over: Partial<RateLimitConfig> = {}): RateLimitConfig => {
  return { callers: ['*'], methods: ['*'], perSecond: 2, burst: 2, ...over };
};

describe('Inbound limits', () => {
  let stack: ModelStack;
  let web: Application;
  let batch: Application;
  let usedBytes = 0;

  const start = (over: InboundOptions = {}): void => {
    usedBytes = 0;
    const readMemory = () => ({ usedBytes, limitBytes: 100 });
    stack = new ModelStack({ intentions: ANY_CALLER, ...over }, { readMemory });
    web = stack.caller('web');
    batch = stack.caller('batch');
  };
  const answering = (over: InboundOptions): void => {
    start(over);
    stack.model.answer = (stream) => stream.reply();
  };
  const reload = (over: InboundOptions): void => stack.reload({ intentions: ANY_CALLER, ...over });
  const call = (app: Application, options: CallOptions = {}): PeerStream => stack.call(options, app);
  const some = (n: number, app = web): PeerStream[] => Array.from({ length: n }, () => call(app));
  const ofClass = (name: string, app = web): PeerStream => call(app, { metadata: [['x-class', name]] });
  const report = () => queueReport(stack.side.backend.limits, stack.clock.now());
  /** Has the model answer everything, one by one; what each said in this field, in the order in which they came. */
  const order = (name: string): (string | undefined)[] => {
    // The list grows meanwhile.
    for (const request of stack.requests) stack.settle(request.reply());
    return stack.requests.map((stream) => stream.header(name));
  };

  describe('rate limits', () => {
    it('a call over its rate limit is refused as never processed, with a pushback', () => {
      answering({ rateLimits: [rate()] });
      assert.deepEqual(statusesOf(some(2)), [0, 0]);
      const refused = call(web);
      const message = /web calls digits more often than it may/;
      const trailers = { 'grpc-retry-pushback-ms': '500', 'grpc-message': message };
      assertUnprocessed(refused, [8, 'rate-limited'], trailers);
      assert.equal(refused.isTrailersOnly, true);
      assert.equal(call(batch).status, 0, 'another caller has a bucket of its own');
      assert.deepEqual([stack.requests.length, report().rateLimited], [3, 1]);
      stack.advance(500);
      assert.deepEqual(statusesOf(some(2)), [0, 8]);
    });

    it('the pushback of a rate limit is one minute at most', () => {
      answering({ rateLimits: [rate({ perSecond: 0.001, burst: 1 })] });
      call(web);
      assert.equal(call(web).trailer('grpc-retry-pushback-ms'), '60000');
    });

    it('callers without identity share one rate limit', () => {
      answering({ mtls: 'permissive', rateLimits: [rate({ burst: 1 })] });
      const [one, other] = [stack.caller(), stack.caller()];
      assert.deepEqual([call(one).status, call(other).status, call(web).status], [0, 8, 0]);
      assert.match(call(other).trailer('grpc-message')!, /a caller without identity/);
    });

    it('a call that is not allowed takes no token of a rate limit', () => {
      answering({ rateLimits: [rate({ burst: 1 })], intentions: [] });
      for (const { reason } of some(3)) assert.equal(reason, 'not-allowed');
      assert.equal(report().rateLimited, 0);
    });

    it('health checks pass the rate limits', () => {
      answering({ rateLimits: [rate({ burst: 1 })] });
      for (let i = 0; i < 5; i++) assert.equal(call(web, { path: CHECK }).status, 0);
    });

    it('a changed rate limit gives no caller a new burst', () => {
      answering({ rateLimits: [rate({ burst: 1, perSecond: 0.1 })] });
      call(web);
      reload({ rateLimits: [rate({ burst: 5, perSecond: 0.1 })] });
      assert.equal(call(web).reason, 'rate-limited');
      reload({});
      assert.deepEqual([call(web).status, report().rateLimited], [0, undefined]);
    });
  });

  describe('priority classes', () => {
    const queue = { concurrency: 1, maxWaiting: 3, priority: PRIORITY };

    it('a more important class goes first, and a call without a class has the default one', () => {
      start({ queue: { ...queue, maxWaiting: 10 } });
      call(web);
      for (const name of ['later', 'soon', 'now', 'never heard of', 'now']) ofClass(name);
      call(web);
      assert.deepEqual(report().classes, [
        { name: 'now', waiting: 2 },
        { name: 'soon', waiting: 3 },
        { name: 'later', waiting: 1 },
      ]);
      const unclassed = undefined;
      const expected = [unclassed, 'now', 'now', 'soon', 'never heard of', unclassed, 'later'];
      assert.deepEqual(order('x-class'), expected);
    });

    it('a call of the least important class gives way in a full queue, as never processed', () => {
      start({ queue });
      call(web);
      const [, later] = [ofClass('later'), ofClass('later'), ofClass('soon')];
      const first = ofClass('now');
      assert.equal(first.isOver, false);
      assertUnprocessed(later, [8, 'overloaded'], { 'grpc-message': /others go first/ });
      assert.ok(Number(later.trailer('grpc-retry-pushback-ms')) >= 1);
      assert.equal(ofClass('later').reason, 'overloaded', 'no class is below it');
      assert.equal(report().evicted, 1);
      order('x-class');
    });

    it('a priority class that is not configured counts as the default', () => {
      start({ queue: { ...queue, maxWaiting: 100 } });
      call(web);
      const long = ['n'.repeat(9_000), '\u00ff'.repeat(2_000)];
      const hostile = ['', '-1', '1e309', '__proto__', 'NOW', 'now,now', '\u0001\u00ff\u0080', ...long];
      for (const value of hostile) ofClass(value);
      for (let i = 0; i < 20; i++) ofClass(`class-${i}`);
      const waiting = report().classes?.map((each) => each.waiting);
      assert.deepEqual(waiting, [0, hostile.length + 20, 0]);
      const metrics = metricsIn(stack, { inbound: stack.side.inbound.state });
      const { samples } = metrics.find(({ name }) => name === 'outrider_queue_class_waiting')!;
      const labels = samples.map((each) => each.labels);
      assert.deepEqual(labels, [{ class: 'now' }, { class: 'soon' }, { class: 'later' }]);
      order('x-class');
    });

    it('calls that wait keep their places when the classes change', () => {
      start({ queue: { ...queue, maxWaiting: 10 } });
      call(web);
      const waiting = ['later', 'now', 'soon'].map((name) => ofClass(name));
      reload({ queue: { concurrency: 1, maxWaiting: 10 } });
      const after = call(web);
      order('x-class');
      assert.deepEqual(statusesOf([...waiting, after]), [0, 0, 0, 0]);
    });
  });

  describe('fairness between callers', () => {
    const queue = { concurrency: 1, maxWaiting: 4, fair: true };

    it('callers take turns by their verified identity, however many calls each sends', () => {
      start({ queue: { ...queue, maxWaiting: 10 } });
      call(batch);
      for (let i = 0; i < 5; i++) call(batch, { metadata: [['outrider-caller', `batch-${i}`]] });
      some(2);
      const expected = ['batch', 'batch', 'web', 'batch', 'web', 'batch', 'batch', 'batch'];
      assert.deepEqual(order('outrider-caller'), expected);
    });

    it('the caller with the most waiting calls gives way to one with fewer', () => {
      start({ queue });
      call(batch);
      const many = some(4, batch);
      assert.equal(call(web).isOver, false);
      assertEnd(many[3]!, [8, 'overloaded']);
      assert.equal(call(batch).reason, 'overloaded');
      order('outrider-caller');
    });

    it('fairness that is switched on later keeps the calls that wait', () => {
      start({ queue: { ...queue, fair: false, maxWaiting: 10 } });
      some(4, batch);
      reload({ queue: { ...queue, maxWaiting: 10 } });
      some(3, batch);
      call(web);
      const callers = order('outrider-caller');
      assert.equal(callers.length, 8);
      assert.ok(callers.indexOf('web') < 6, callers.join(' '));
    });
  });

  describe('the adaptive limit', () => {
    const queue = { concurrency: 2, maxWaiting: 1_000, adaptive: { min: 1, max: 50 } };
    const routes = [aRoute({ timeoutMs: 0 })];
    const found = () => [report().concurrency, report().unloadedMs];
    /** Calls keep coming, and the model takes `takesMs` for each. */
    const drive = (seconds: number, takesMs: (held: number) => number, options: CallOptions = {}): void => {
      const { queue: line } = stack.side.backend;
      stack.model.answer = (stream) => {
        stack.clock.after(takesMs(line.running), () => void (stream.isOver && stream.reply()));
      };
      for (let i = 0; i < seconds * 10; i++) {
        while (line.waiting < 20) call(web, options);
        stack.advance(100);
      }
    };
    afterEach(() => stack.advance(60_000));

    it('the adaptive limit grows while latency does not, and stops where it does', () => {
      start({ queue, routes });
      drive(20, (held) => 10 * Math.max(1, held / 8));
      assert.ok(report().concurrency >= 8 && report().concurrency <= 18, `${report().concurrency}`);
      assert.ok(report().unloadedMs! >= 10 && report().unloadedMs! < 15);
    });

    it('the adaptive limit samples unary inferences that succeeded, and nothing else', () => {
      start({ queue, routes });
      drive(3, () => 0.5, { path: READY });
      assert.deepEqual(found(), [2, 0]);
      stack.model.answer = (stream) => stream.fail(3);
      for (let i = 0; i < 300; i++) {
        call(web);
        stack.advance(5);
      }
      assert.deepEqual(found(), [2, 0]);
    });

    it('the adaptive limit takes no samples from streams', () => {
      start({ queue, routes: [aStreamRoute()] });
      drive(3, () => 10);
      assert.equal(report().unloadedMs, 0);
    });

    it('the adaptive limit is kept while the model is away, and within new bounds', () => {
      start({ queue, routes });
      drive(10, () => 10);
      const { concurrency } = report();
      assert.ok(concurrency > 4, `${concurrency}`);
      stack.advance(60_000);
      stack.side.instance.setState({ kind: 'away', why: 'it is being restarted' });
      assert.equal(report().concurrency, 0);
      stack.side.instance.setState({ kind: 'ready' });
      assert.equal(report().concurrency, concurrency);
      reload({ queue: { ...queue, adaptive: { min: 1, max: 3 } } });
      assert.equal(report().concurrency, 3);
      reload({ queue: { concurrency: 7 } });
      assert.deepEqual(found(), [7, undefined]);
    });
  });

  describe('memory pressure', () => {
    const reasons = (calls: readonly PeerStream[]) => calls.map(({ reason }) => reason);
    const use = (share: number): void => {
      usedBytes = share;
      stack.advance(300);
    };

    it('high memory pressure refuses all but the most important class and health checks', () => {
      answering({ queue: { concurrency: 1, maxWaiting: 10, priority: PRIORITY } });
      use(88);
      const shed = ofClass('soon');
      const trailers = { 'grpc-retry-pushback-ms': '1000', 'grpc-message': 'digits is short of memory' };
      assertUnprocessed(shed, [8, 'memory-pressure'], trailers);
      assert.deepEqual([ofClass('now').status, call(web, { path: CHECK }).status], [0, 0]);
      assert.equal(report().pressure, 'high');
      use(50);
      assert.deepEqual([ofClass('later').status, report().pressure], [0, 'none']);
    });

    it('high memory pressure without classes refuses calls while the queue is half full', () => {
      start({ queue: { concurrency: 1, maxWaiting: 4 } });
      use(88);
      const [places, refused] = [new Array(3).fill(undefined), new Array(2).fill('memory-pressure')];
      assert.deepEqual(reasons(some(5)), [...places, ...refused]);
      order('x-class');
    });

    it('high memory pressure refuses no call that finds a free place', () => {
      start({ queue: { concurrency: 1, maxWaiting: 0 } });
      use(88);
      assert.deepEqual(reasons(some(2)), [undefined, 'memory-pressure']);
      order('x-class');
    });

    it('critical memory pressure refuses every new call before its body is read, and ends no running one', () => {
      start({ queue: { concurrency: 1, maxWaiting: 10, priority: PRIORITY } });
      const [running, waiting] = [ofClass('later'), ofClass('later')];
      use(95);
      const { held } = stack.context.memory;
      const upload = call(web, { body: null, metadata: [['x-class', 'now']] });
      assertEnd(upload, [8, 'memory-pressure']);
      assert.equal(stack.context.memory.held, held);
      const check = call(web, { path: CHECK });
      order('x-class');
      assert.deepEqual(statusesOf([running!, waiting!, check]), [0, 0, 0]);
    });

    it('a call that is refused for memory takes no token of a rate limit', () => {
      answering({ rateLimits: [rate({ perSecond: 0.1, burst: 1 })] });
      use(95);
      assert.equal(call(web).reason, 'memory-pressure');
      use(10);
      assert.equal(call(web).status, 0);
    });
  });

  it('a large request that is refused is not buffered', () => {
    answering({ rateLimits: [rate({ perSecond: 0.1, burst: 1 })] });
    call(web);
    assert.equal(call(web, { body: Buffer.alloc(4 * MIB) }).reason, 'rate-limited');
    assert.equal(stack.context.memory.held, 0);
  });
});
