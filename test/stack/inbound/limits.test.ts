/** The limits of the inbound side: rates of callers, classes and turns in the line, a number found, memory that runs short. */
import assert from 'node:assert/strict';
import { queueReport } from '../../../sidecar/app/endpoint-report.js';
import type { RateLimitConfig } from '../../../sidecar/config/model.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { metricsIn } from '../../kit/stack/metrics.js';
import {
  type Application,
  anInbound,
  aRoute,
  aStreamRoute,
  type CallOptions,
  type InboundOptions,
  type InboundStack,
  Stack,
} from '../../kit/stack/stack.js';

const CHECK = '/grpc.health.v1.Health/Check';
const READY = '/inference.GRPCInferenceService/ModelReady';
const EVERYONE = [{ from: '*', to: 'digits', action: 'allow' }] as const;
const PRIORITY = { key: 'x-class', classes: ['now', 'soon', 'later'], defaultClass: 'soon' };
const MIB = 1024 * 1024;

describe('Inbound limits', () => {
  let stack: Stack;
  let side: InboundStack;
  let web: Application;
  let batch: Application;
  let usedBytes = 0;

  const start = (over: InboundOptions = {}): void => {
    stack = new Stack();
    usedBytes = 0;
    const readMemory = () => ({ usedBytes, limitBytes: 100 });
    side = stack.inbound(anInbound({ intentions: EVERYONE, ...over }), { readMemory });
    web = stack.app(side.listener, 'web');
    batch = stack.app(side.listener, 'batch');
  };
  const answering = (over: InboundOptions): void => {
    start(over);
    side.model.answer = (stream) => stream.reply();
  };
  const reload = (over: InboundOptions): void => {
    const config = anInbound({ intentions: EVERYONE, ...over });
    stack.settle(side.inbound.update(config, side.intentions(config.intentions), side.listener.sessions));
  };
  const call = (app: Application, options: CallOptions = {}): PeerStream => stack.settle(app.call(options));
  const ofClass = (name: string, app = web): PeerStream => call(app, { metadata: [['x-class', name]] });
  const atModel = (): readonly PeerStream[] => side.model.requests;
  const report = () => queueReport(side.backend.limits, stack.clock.now());
  /** Has the model answer everything, one by one; what each said in this field, in the order in which they came. */
  const order = (name: string): (string | undefined)[] => {
    for (let i = 0; i < atModel().length; i++) {
      stack.settle(atModel()[i]!.reply());
    }
    return atModel().map((stream) => stream.header(name));
  };
  afterEach(() => stack.close());

  describe('rate limits', () => {
    const rate = (over: Partial<RateLimitConfig> = {}): RateLimitConfig => ({
      callers: ['*'],
      methods: ['*'],
      perSecond: 2,
      burst: 2,
      ...over,
    });

    it('a call over its rate limit is refused as never processed, with a pushback', () => {
      answering({ rateLimits: [rate()] });
      assert.deepEqual([call(web).status, call(web).status], [0, 0]);
      const refused = call(web);
      assert.deepEqual([refused.status, refused.reason, refused.isTrailersOnly], [8, 'rate-limited', true]);
      assert.equal(refused.trailer('outrider-unprocessed'), 'true');
      assert.equal(refused.trailer('grpc-retry-pushback-ms'), '500');
      assert.match(refused.trailer('grpc-message')!, /web calls digits more often than it may/);
      assert.equal(call(batch).status, 0, 'another caller has a bucket of its own');
      assert.equal(atModel().length, 3);
      assert.equal(report().rateLimited, 1);
      stack.advance(500);
      assert.deepEqual([call(web).status, call(web).status], [0, 8]);
    });

    it('the pushback of a rate limit is one minute at most', () => {
      answering({ rateLimits: [rate({ perSecond: 0.001, burst: 1 })] });
      call(web);
      assert.equal(call(web).trailer('grpc-retry-pushback-ms'), '60000');
    });

    it('callers without identity share one rate limit', () => {
      answering({ mtls: 'permissive', rateLimits: [rate({ burst: 1 })] });
      const [one, other] = [stack.app(side.listener), stack.app(side.listener)];
      assert.deepEqual([call(one).status, call(other).status, call(web).status], [0, 8, 0]);
      assert.match(call(other).trailer('grpc-message')!, /a caller without identity/);
    });

    it('a call that is not allowed takes no token of a rate limit', () => {
      answering({ rateLimits: [rate({ burst: 1 })], intentions: [] });
      for (let i = 0; i < 3; i++) assert.equal(call(web).reason, 'not-allowed');
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
      assert.equal(call(web).status, 0);
      assert.equal(report().rateLimited, undefined);
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
      assert.deepEqual(order('x-class'), [
        undefined,
        'now',
        'now',
        'soon',
        'never heard of',
        undefined,
        'later',
      ]);
    });

    it('a call of the least important class gives way in a full queue, as never processed', () => {
      start({ queue });
      call(web);
      const [, later] = [ofClass('later'), ofClass('later'), ofClass('soon')];
      const first = ofClass('now');
      assert.equal(first.isOver, false);
      assert.deepEqual([later.status, later.reason], [8, 'overloaded']);
      assert.equal(later.trailer('outrider-unprocessed'), 'true');
      assert.ok(Number(later.trailer('grpc-retry-pushback-ms')) >= 1);
      assert.match(later.trailer('grpc-message')!, /others go first/);
      assert.equal(ofClass('later').reason, 'overloaded', 'no class is below it');
      assert.equal(report().evicted, 1);
      order('x-class');
    });

    it('a priority class that is not configured counts as the default', () => {
      start({ queue: { ...queue, maxWaiting: 100 } });
      call(web);
      const hostile = [
        '',
        '-1',
        '1e309',
        '__proto__',
        'NOW',
        'now,now',
        '\u0001\u00ff\u0080',
        'n'.repeat(9_000),
        '\u00ff'.repeat(2_000),
      ];
      for (const value of hostile) ofClass(value);
      for (let i = 0; i < 20; i++) ofClass(`class-${i}`);
      assert.deepEqual(
        report().classes?.map(({ waiting }) => waiting),
        [0, hostile.length + 20, 0],
      );
      const metrics = metricsIn(stack, { inbound: side.inbound });
      const labels = metrics.find(({ name }) => name === 'outrider_queue_class_waiting')!.samples;
      assert.deepEqual(
        labels.map((each) => each.labels),
        [{ class: 'now' }, { class: 'soon' }, { class: 'later' }],
      );
      order('x-class');
    });

    it('calls that wait keep their places when the classes change', () => {
      start({ queue: { ...queue, maxWaiting: 10 } });
      call(web);
      const waiting = ['later', 'now', 'soon'].map((name) => ofClass(name));
      reload({ queue: { concurrency: 1, maxWaiting: 10 } });
      const after = call(web);
      order('x-class');
      assert.deepEqual(
        [...waiting, after].map(({ status }) => status),
        [0, 0, 0, 0],
      );
    });
  });

  describe('fairness between callers', () => {
    const queue = { concurrency: 1, maxWaiting: 4, fair: true };

    it('callers take turns by their verified identity, however many calls each sends', () => {
      start({ queue: { ...queue, maxWaiting: 10 } });
      call(batch);
      for (let i = 0; i < 5; i++) call(batch, { metadata: [['outrider-caller', `batch-${i}`]] });
      call(web);
      call(web);
      assert.deepEqual(order('outrider-caller'), [
        'batch',
        'batch',
        'web',
        'batch',
        'web',
        'batch',
        'batch',
        'batch',
      ]);
    });

    it('the caller with the most waiting calls gives way to one with fewer', () => {
      start({ queue });
      call(batch);
      const many = Array.from({ length: 4 }, () => call(batch));
      assert.equal(call(web).isOver, false);
      assert.deepEqual([many[3]!.status, many[3]!.reason], [8, 'overloaded']);
      assert.equal(call(batch).reason, 'overloaded');
      order('outrider-caller');
    });

    it('fairness that is switched on later keeps the calls that wait', () => {
      start({ queue: { ...queue, fair: false, maxWaiting: 10 } });
      call(batch);
      for (let i = 0; i < 3; i++) call(batch);
      reload({ queue: { ...queue, maxWaiting: 10 } });
      for (let i = 0; i < 3; i++) call(batch);
      call(web);
      const callers = order('outrider-caller');
      assert.equal(callers.length, 8);
      assert.ok(callers.indexOf('web') < 6, callers.join(' '));
    });
  });

  describe('the adaptive limit', () => {
    const queue = { concurrency: 2, maxWaiting: 1_000, adaptive: { min: 1, max: 50 } };
    /** Calls keep coming, and the model takes `takesMs` for each. */
    const drive = (seconds: number, takesMs: (held: number) => number, options: CallOptions = {}): void => {
      side.model.answer = (stream) => {
        const held = side.backend.queue.running;
        stack.clock.after(takesMs(held), () => void (stream.isOver && stream.reply()));
      };
      for (let i = 0; i < seconds * 10; i++) {
        while (side.backend.queue.waiting < 20) call(web, options);
        stack.advance(100);
      }
    };
    const finish = (): void => stack.advance(60_000);

    it('the adaptive limit grows while latency does not, and stops where it does', () => {
      start({ queue, routes: [aRoute({ timeoutMs: 0 })] });
      drive(20, (held) => 10 * Math.max(1, held / 8));
      assert.ok(report().concurrency >= 8 && report().concurrency <= 18, `${report().concurrency}`);
      assert.ok(report().unloadedMs! >= 10 && report().unloadedMs! < 15);
      finish();
    });

    it('the adaptive limit samples unary inferences that succeeded, and nothing else', () => {
      start({ queue, routes: [aRoute({ timeoutMs: 0 })] });
      drive(3, () => 0.5, { path: READY });
      assert.deepEqual([report().concurrency, report().unloadedMs], [2, 0]);
      side.model.answer = (stream) => stream.fail(3);
      for (let i = 0; i < 300; i++) {
        call(web);
        stack.advance(5);
      }
      assert.deepEqual([report().concurrency, report().unloadedMs], [2, 0]);
      finish();
    });

    it('the adaptive limit takes no samples from streams', () => {
      start({ queue, routes: [aStreamRoute()] });
      drive(3, () => 10);
      assert.equal(report().unloadedMs, 0);
      finish();
    });

    it('the adaptive limit is kept while the model is away, and within new bounds', () => {
      start({ queue, routes: [aRoute({ timeoutMs: 0 })] });
      drive(10, () => 10);
      const found = report().concurrency;
      assert.ok(found > 4, `${found}`);
      finish();
      side.backend.setState({ kind: 'away', why: 'it is being restarted' });
      assert.equal(report().concurrency, 0);
      side.backend.setState({ kind: 'ready' });
      assert.equal(report().concurrency, found);
      reload({ queue: { ...queue, adaptive: { min: 1, max: 3 } } });
      assert.equal(report().concurrency, 3);
      reload({ queue: { concurrency: 7 } });
      assert.deepEqual([report().concurrency, report().unloadedMs], [7, undefined]);
    });
  });

  describe('memory pressure', () => {
    const use = (share: number): void => {
      usedBytes = share;
      stack.advance(300);
    };

    it('high memory pressure refuses all but the most important class and health checks', () => {
      answering({ queue: { concurrency: 1, maxWaiting: 10, priority: PRIORITY } });
      use(88);
      const shed = ofClass('soon');
      assert.deepEqual([shed.status, shed.reason], [8, 'memory-pressure']);
      assert.equal(shed.trailer('outrider-unprocessed'), 'true');
      assert.equal(shed.trailer('grpc-retry-pushback-ms'), '1000');
      assert.equal(shed.trailer('grpc-message'), 'digits is short of memory');
      assert.deepEqual([ofClass('now').status, call(web, { path: CHECK }).status], [0, 0]);
      assert.equal(report().pressure, 'high');
      use(50);
      assert.deepEqual([ofClass('later').status, report().pressure], [0, 'none']);
    });

    it('high memory pressure without classes refuses calls while the queue is half full', () => {
      start({ queue: { concurrency: 1, maxWaiting: 4 } });
      use(88);
      const calls = Array.from({ length: 5 }, () => call(web));
      assert.deepEqual(
        calls.map(({ reason }) => reason),
        [undefined, undefined, undefined, 'memory-pressure', 'memory-pressure'],
      );
      order('x-class');
    });

    it('high memory pressure refuses no call that finds a free place', () => {
      start({ queue: { concurrency: 1, maxWaiting: 0 } });
      use(88);
      assert.deepEqual(
        [call(web), call(web)].map(({ reason }) => reason),
        [undefined, 'memory-pressure'],
      );
      order('x-class');
    });

    it('critical memory pressure refuses every new call before its body is read, and ends no running one', () => {
      start({ queue: { concurrency: 1, maxWaiting: 10, priority: PRIORITY } });
      const [running, waiting] = [ofClass('later'), ofClass('later')];
      use(95);
      const { held } = stack.context.memory;
      const upload = call(web, { body: null, metadata: [['x-class', 'now']] });
      assert.deepEqual([upload.status, upload.reason], [8, 'memory-pressure']);
      assert.equal(stack.context.memory.held, held);
      const check = call(web, { path: CHECK });
      order('x-class');
      assert.deepEqual(
        [running, waiting, check].map((each) => each!.status),
        [0, 0, 0],
      );
    });

    it('a call that is refused for memory takes no token of a rate limit', () => {
      const rateLimits = [{ callers: ['*'], methods: ['*'], perSecond: 0.1, burst: 1 }];
      answering({ rateLimits });
      use(95);
      assert.equal(call(web).reason, 'memory-pressure');
      use(10);
      assert.equal(call(web).status, 0);
    });
  });

  it('a large request that is refused is not buffered', () => {
    answering({ rateLimits: [{ callers: ['*'], methods: ['*'], perSecond: 0.1, burst: 1 }] });
    call(web);
    assert.equal(call(web, { body: Buffer.alloc(4 * MIB) }).reason, 'rate-limited');
    assert.equal(stack.context.memory.held, 0);
  });
});
