/** The limits of the inbound side: rates of callers, classes and turns in the line, a number found, memory that runs short. */
import assert from 'node:assert/strict';
import { queueReport } from '../../../sidecar/app/endpoint-report.js';
import type { RateLimitConfig } from '../../../sidecar/config/model.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { familiesIn } from '../../kit/stack/metrics.js';
import {
  type App,
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
  let web: App;
  let batch: App;
  let usedBytes = 0;

  const start = (over: InboundOptions = {}): void => {
    stack = new Stack();
    usedBytes = 0;
    const readMemory = () => ({ usedBytes, limitBytes: 100 });
    side = stack.inbound(anInbound({ intentions: EVERYONE, ...over }), { readMemory });
    web = stack.app(side.listener, 'web');
    batch = stack.app(side.listener, 'batch');
  };
  const reload = (over: InboundOptions): void => {
    const config = anInbound({ intentions: EVERYONE, ...over });
    stack.settle(side.inbound.update(config, side.intentions(config.intentions), side.listener.sessions));
  };
  const call = (app: App, options: CallOptions = {}): PeerStream => stack.settle(app.call(options));
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

  describe('rates', () => {
    const rate = (over: Partial<RateLimitConfig> = {}): RateLimitConfig => ({
      callers: ['*'],
      methods: ['*'],
      perSecond: 2,
      burst: 2,
      ...over,
    });
    const answering = (over: InboundOptions): void => {
      start(over);
      side.model.answer = (stream) => stream.reply();
    };

    it('refuse what is over them as never processed, with the time after which to come again', () => {
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

    it('tell nobody to stay away for longer than a minute', () => {
      answering({ rateLimits: [rate({ perSecond: 0.001, burst: 1 })] });
      call(web);
      assert.equal(call(web).trailer('grpc-retry-pushback-ms'), '60000');
    });

    it('hold for callers without identity together', () => {
      answering({ mtls: 'permissive', rateLimits: [rate({ burst: 1 })] });
      const [one, other] = [stack.app(side.listener), stack.app(side.listener)];
      assert.deepEqual([call(one).status, call(other).status, call(web).status], [0, 8, 0]);
      assert.match(call(other).trailer('grpc-message')!, /a caller without identity/);
    });

    it('come after intentions, and spend nothing on callers that may not call', () => {
      answering({ rateLimits: [rate({ burst: 1 })], intentions: [] });
      for (let i = 0; i < 3; i++) assert.equal(call(web).reason, 'not-allowed');
      assert.equal(report().rateLimited, 0);
    });

    it('let questions about health pass', () => {
      answering({ rateLimits: [rate({ burst: 1 })] });
      for (let i = 0; i < 5; i++) assert.equal(call(web, { path: CHECK }).status, 0);
    });

    it('are taken over anew, and nobody gets a burst for it', () => {
      answering({ rateLimits: [rate({ burst: 1, perSecond: 0.1 })] });
      call(web);
      reload({ rateLimits: [rate({ burst: 5, perSecond: 0.1 })] });
      assert.equal(call(web).reason, 'rate-limited');
      reload({});
      assert.equal(call(web).status, 0);
      assert.equal(report().rateLimited, undefined);
    });
  });

  describe('classes', () => {
    const queue = { concurrency: 1, maxWaiting: 3, priority: PRIORITY };

    it('go before one another, and calls without one are as configured', () => {
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

    it('make the least important give way, which may be tried elsewhere', () => {
      start({ queue });
      call(web);
      const [, later] = [ofClass('later'), ofClass('later'), ofClass('soon')];
      const first = ofClass('now');
      assert.equal(first.isOver, false);
      assert.deepEqual([later.status, later.reason], [8, 'overloaded']);
      assert.equal(later.trailer('outrider-unprocessed'), 'true');
      assert.ok(Number(later.trailer('grpc-retry-pushback-ms')) >= 1);
      assert.match(later.trailer('grpc-message')!, /others go first/);
      assert.equal(ofClass('later').reason, 'overloaded', 'nobody is below it');
      assert.equal(report().evicted, 1);
      order('x-class');
    });

    it('are not invented by callers, whatever they send', () => {
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
      const metrics = familiesIn(stack, { inbound: side.inbound });
      const labels = metrics.find(({ name }) => name === 'outrider_queue_class_waiting')!.samples;
      assert.deepEqual(
        labels.map((each) => each.labels),
        [{ class: 'now' }, { class: 'soon' }, { class: 'later' }],
      );
      order('x-class');
    });

    it('keep who waits when they change', () => {
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

  describe('turns', () => {
    const queue = { concurrency: 1, maxWaiting: 4, fair: true };

    it('are of callers by their proven identity, however many calls each sends', () => {
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

    it('make the caller with the most waiting give way to one with fewer', () => {
      start({ queue });
      call(batch);
      const many = Array.from({ length: 4 }, () => call(batch));
      const one = call(web);
      assert.equal(one.isOver, false);
      assert.deepEqual([many[3]!.status, many[3]!.reason], [8, 'overloaded']);
      assert.equal(call(batch).reason, 'overloaded');
      order('outrider-caller');
    });

    it('begin with a change of configuration, and keep who waits', () => {
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

  describe('a number of calls at once that is found', () => {
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

    it('grows while the model takes more without becoming slower, up to where it does not', () => {
      start({ queue, routes: [aRoute({ timeoutMs: 0 })] });
      drive(20, (held) => 10 * Math.max(1, held / 8));
      assert.ok(report().concurrency >= 8 && report().concurrency <= 18, `${report().concurrency}`);
      assert.ok(report().unloadedMs! >= 10 && report().unloadedMs! < 15);
      finish();
    });

    it('is learnt from whole inferences that succeeded, and from nothing else', () => {
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

    it('is not learnt from streams, which last as long as they like', () => {
      start({ queue, routes: [aStreamRoute()] });
      drive(3, () => 10);
      assert.equal(report().unloadedMs, 0);
      finish();
    });

    it('is kept while the model is away, and taken over within new bounds', () => {
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

  describe('memory that runs short', () => {
    const use = (share: number): void => {
      usedBytes = share;
      stack.advance(300);
    };

    it('leaves the most important class, and health', () => {
      start({ queue: { concurrency: 1, maxWaiting: 10, priority: PRIORITY } });
      side.model.answer = (stream) => stream.reply();
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

    it('leaves half of the line where there are no classes', () => {
      start({ queue: { concurrency: 1, maxWaiting: 4 } });
      use(88);
      const calls = Array.from({ length: 5 }, () => call(web));
      assert.deepEqual(
        calls.map(({ reason }) => reason),
        [undefined, undefined, undefined, 'memory-pressure', 'memory-pressure'],
      );
      order('x-class');
    });

    it('leaves what need not wait, even where nothing may', () => {
      start({ queue: { concurrency: 1, maxWaiting: 0 } });
      use(88);
      assert.deepEqual(
        [call(web), call(web)].map(({ reason }) => reason),
        [undefined, 'memory-pressure'],
      );
      order('x-class');
    });

    it('refuses every new call in the end, before its body is taken, and no running one', () => {
      start({ queue: { concurrency: 1, maxWaiting: 10, priority: PRIORITY } });
      const [running, waiting] = [ofClass('later'), ofClass('later')];
      use(95);
      const { held } = stack.relay.memory;
      const upload = call(web, { body: null, metadata: [['x-class', 'now']] });
      assert.deepEqual([upload.status, upload.reason], [8, 'memory-pressure']);
      assert.equal(stack.relay.memory.held, held);
      const check = call(web, { path: CHECK });
      order('x-class');
      assert.deepEqual(
        [running, waiting, check].map((each) => each!.status),
        [0, 0, 0],
      );
    });

    it('spends no caller’s rate', () => {
      const rateLimits = [{ callers: ['*'], methods: ['*'], perSecond: 0.1, burst: 1 }];
      start({ rateLimits });
      side.model.answer = (stream) => stream.reply();
      use(95);
      assert.equal(call(web).reason, 'memory-pressure');
      use(10);
      assert.equal(call(web).status, 0);
    });
  });

  it('cost a large request nothing that is refused: nothing of it is kept', () => {
    start({ rateLimits: [{ callers: ['*'], methods: ['*'], perSecond: 0.1, burst: 1 }] });
    side.model.answer = (stream) => stream.reply();
    call(web);
    const refused = call(web, { body: Buffer.alloc(4 * MIB) });
    assert.equal(refused.reason, 'rate-limited');
    assert.equal(stack.relay.memory.held, 0);
  });
});
