/** Active checks of endpoints on the connections that calls use: which endpoints are checked, how often, and with what effect. */
import assert from 'node:assert/strict';
import { reportOf } from '../../../sidecar/app/endpoint-report.js';
import { readHealthQuestion } from '../../../sidecar/codec/health.js';
import type { ActiveHealthConfig } from '../../../sidecar/config/model.js';
import { FrameType, Setting } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import {
  type Application,
  addressOf,
  anUpstream,
  type Backend,
  type OutboundStack,
  Stack,
  type UpstreamOptions,
} from '../../kit/stack/stack.js';

const CHECK = '/grpc.health.v1.Health/Check';
const SERVING = Buffer.from([0, 0, 0, 0, 2, 8, 1]);
const NOT_SERVING = Buffer.from([0, 0, 0, 0, 2, 8, 2]);

function aCheck(over: Partial<ActiveHealthConfig> = {}): ActiveHealthConfig {
  const times = { intervalMs: 5000, timeoutMs: 1000, unhealthyThreshold: 2, healthyThreshold: 1 };
  return { kind: 'grpc', service: '', ...times, ...over };
}

describe('Health checks', () => {
  let stack: Stack;
  let out: OutboundStack;
  let app: Application;
  let backends: Backend[];
  /** How each answers a check. */
  let answers: Record<string, (stream: PeerStream) => void>;

  beforeEach(() => {
    stack = new Stack();
    answers = {};
    backends = ['a', 'b', 'c'].map((name) => {
      const backend = stack.backend(name);
      backend.answer = (stream) => {
        if (stream.header(':path') !== CHECK) stream.reply(Buffer.from(name));
        else if (answers[name] === undefined) stream.reply(SERVING);
        else answers[name](stream);
      };
      return backend;
    });
  });
  afterEach(() => stack.close());

  const open = (health: Partial<ActiveHealthConfig> = {}, over: UpstreamOptions = {}): void => {
    out = stack.outbound(anUpstream(['a', 'b', 'c'], { health: aCheck(health), ...over }));
    app = stack.app(out.listener);
    stack.advance(10);
  };
  const checksOf = (i: number): PeerStream[] =>
    backends[i]!.requests.filter((request) => request.header(':path') === CHECK);
  const report = (i: number) => reportOf(out.cluster, out.cluster.endpoints[i]!, stack.clock.now());
  const metric = (name: string, labels: Record<string, string>): number | undefined => {
    const samples = stack.health.metrics().find((family) => family.name === name)?.samples ?? [];
    const found = samples.find(({ labels: has }) =>
      Object.entries(labels).every(([key, value]) => has[key] === value),
    );
    return found && 'value' in found ? found.value : undefined;
  };
  const call = (): PeerStream => stack.settle(app.call());

  it('a health check is sent as soon as an endpoint is connected, as a call on its connection', () => {
    open({ service: 'digits' });
    const [asked] = checksOf(0);
    assert.ok(asked);
    assert.equal(readHealthQuestion(asked.body), 'digits');
    assert.equal(asked.header('content-type'), 'application/grpc');
    assert.equal(asked.header('te'), 'trailers');
    assert.equal(asked.header(':scheme'), 'https');
    assert.equal(asked.header(':authority'), 'digits');
    assert.match(asked.header('grpc-timeout') ?? '', /^1000m$|^1S$/);
    assert.equal(backends[0]!.peers.length, 1);
  });

  it('an upstream without the health option sends no health checks', () => {
    out = stack.outbound(anUpstream(['a', 'b', 'c']));
    app = stack.app(out.listener);
    stack.advance(60_000);
    assert.equal(checksOf(0).length, 0);
    assert.ok(!stack.health.metrics().some(({ name }) => name === 'outrider_health_checks_total'));
  });

  it('health checks repeat at their interval and are counted as no calls', () => {
    open();
    stack.advance(60_000);
    const n = checksOf(0).length;
    assert.ok(n >= 11 && n <= 14, `${n}`);
    const [endpoint] = out.cluster.endpoints;
    assert.equal(endpoint!.attempts, 0);
    assert.equal(
      endpoint!.outcomes.reduce((sum, each) => sum + each, 0),
      0,
    );
    assert.equal(out.outbound.attempts, 0);
    assert.equal(
      stack.context.stats.calls.reduce((sum, { started }) => sum + started, 0),
      0,
    );
    assert.equal(metric('outrider_health_checks_total', { endpoint: endpoint!.label, result: 'passed' }), n);
    assert.equal(metric('outrider_endpoint_healthy', { endpoint: endpoint!.label }), 1);
  });

  it('an endpoint whose calls succeed is not checked until they stop', () => {
    open({}, { balance: { kind: 'round-robin' } });
    const before = checksOf(0).length;
    for (let i = 0; i < 300; i++) {
      call();
      stack.advance(100);
    }
    assert.ok(checksOf(0).length <= before + 1, `${checksOf(0).length}`);
    assert.ok(metric('outrider_health_checks_total', { endpoint: 'a:1', result: 'skipped' })! >= 5);
    stack.advance(12_000);
    assert.ok(checksOf(0).length >= before + 1);
  });

  it('a health check that names a model is sent although calls succeed', () => {
    open({ service: 'digits' });
    for (let i = 0; i < 300; i++) {
      call();
      stack.advance(100);
    }
    assert.ok(checksOf(0).length >= 6);
  });

  it('an endpoint that answers NOT_SERVING twice gets no calls, and gets them again at its first SERVING', () => {
    open();
    answers['a'] = (stream) => stream.reply(NOT_SERVING);
    const since = stack.clock.now();
    while (report(0).state === 'eligible' && stack.clock.now() < since + 20_000) stack.advance(10);
    assert.equal(report(0).state, 'unhealthy');
    assert.match(report(0).why, /the health check says NOT_SERVING/);
    assert.ok(stack.clock.now() - since <= 5500 + 1000 + 20, 'the second one follows within a second');
    assert.equal(metric('outrider_endpoint_healthy', { endpoint: 'a:1' }), 0);
    for (let i = 0; i < 9; i++) assert.notEqual(call().body.toString(), 'a');
    delete answers['a'];
    stack.advance(5010);
    assert.equal(report(0).state, 'eligible');
    assert.ok([call(), call(), call()].some(({ body }) => body.toString() === 'a'));
  });

  it('the first health check of a new connection decides at once', () => {
    answers['b'] = (stream) => stream.reply(NOT_SERVING);
    open();
    assert.equal(report(1).state, 'unhealthy');
    backends[1]!.peer.socket.break();
    delete answers['b'];
    stack.advance(200);
    assert.equal(report(1).state, 'eligible');
  });

  for (const [what, answer, why] of [
    ['without a health service', (stream: PeerStream) => stream.fail(12), ''],
    ['that will not tell us', (stream: PeerStream) => stream.fail(7), ''],
    ['that is too busy to say', (stream: PeerStream) => stream.fail(8), ''],
    ['that does not know the model', (stream: PeerStream) => stream.fail(5), 'there is no model digits'],
    [
      'that cannot serve',
      (stream: PeerStream) => stream.fail(14, [['grpc-message', 'not%20yet']]),
      'UNAVAILABLE: not yet',
    ],
    ['that says UNKNOWN', (stream: PeerStream) => stream.reply(Buffer.alloc(5)), 'says UNKNOWN'],
    ['that babbles', (stream: PeerStream) => stream.reply(Buffer.alloc(2000, 7)), 'cannot be read'],
    [
      'that babbles without end',
      (stream: PeerStream) => stream.begin().data(Buffer.alloc(65_536)),
      'far too long',
    ],
    ['that resets', (stream: PeerStream) => stream.reset(), 'reset with code 8'],
    ['that ends without a status', (stream: PeerStream) => stream.begin().end(), 'without a status'],
  ] as const) {
    it(`find a server ${what} ${why === '' ? 'well' : 'ill'}`, () => {
      answers['a'] = (stream) => void answer(stream);
      open({ service: 'digits' });
      stack.advance(100);
      assert.equal(report(0).state, why === '' ? 'eligible' : 'unhealthy');
      assert.ok(report(0).why.includes(why), report(0).why);
    });
  }

  describe('of a peer that is frozen', () => {
    const freeze = (): void => {
      backends[0]!.peer.socket.isCut = true;
    };
    const thaw = (): void => {
      stack.settle(backends[0]!.peer.socket.heal());
    };

    for (const kind of ['grpc', 'ping'] as const) {
      it(`a frozen peer is found by health checks alone, as is its return (${kind})`, () => {
        open({ kind }, { pool: { pingIntervalMs: 0 } });
        stack.advance(20_000);
        freeze();
        const frozenMs = stack.clock.now();
        while (report(0).state === 'eligible' && stack.clock.now() < frozenMs + 20_000) stack.advance(10);
        assert.equal(report(0).state, 'unhealthy');
        const tookMs = stack.clock.now() - frozenMs;
        assert.ok(tookMs <= 5500 + 2 * 1000 + 30, `${tookMs}`);
        assert.match(
          report(0).why,
          kind === 'grpc' ? /no answer to a health check in 1000 ms/ : /no answer to a PING in 1000 ms/,
        );
        stack.advance(60_000);
        assert.equal(report(0).state, 'unhealthy');
        thaw();
        stack.advance(1100);
        assert.equal(report(0).state, 'eligible');
      });
    }

    it('health checks of a frozen peer do not pile up', () => {
      open({}, { pool: { pingIntervalMs: 0 } });
      freeze();
      const before = checksOf(0).length;
      stack.advance(600_000);
      thaw();
      assert.ok(checksOf(0).length <= before + 2, `${checksOf(0).length - before}`);
      assert.equal(backends[0]!.peer.count(FrameType.rstStream), 0);
    });
  });

  it('an answer after the timeout is no answer, and the endpoint is checked once a second at most', () => {
    answers['a'] = (stream) => void stack.clock.after(1500, () => stream.reply(SERVING));
    open();
    stack.advance(20_000);
    assert.equal(report(0).state, 'unhealthy');
    assert.ok(checksOf(0).length <= 16, `${checksOf(0).length}`);
  });

  describe('of a model that takes 2 s for a call, and answers a check after it', () => {
    const untimed: ActiveHealthConfig = {
      kind: 'grpc',
      service: '',
      intervalMs: 5000,
      unhealthyThreshold: 2,
      healthyThreshold: 1,
    };
    /** `b` answers checks late; calls go on all the time, of `count` in 100 s. */
    const work = (health: ActiveHealthConfig, count: number, perCallMs = 2000): void => {
      for (const backend of backends) {
        const { answer } = backend;
        backend.answer = (stream) => {
          const isCheck = stream.header(':path') === CHECK;
          if (isCheck && backend !== backends[1]) answer(stream);
          else stack.clock.after(perCallMs, () => answer(stream));
        };
      }
      out = stack.outbound(anUpstream(['a', 'b', 'c'], { health }));
      app = stack.app(out.listener);
      stack.advance(10);
      for (let i = 0; i < count; i++) {
        call();
        stack.advance(100_000 / count);
      }
    };
    const seconds = (stream: PeerStream | undefined): number => {
      const [, number, unit] = /^(\d+)([mS])$/.exec(stream?.header('grpc-timeout') ?? '') ?? [];
      return Number(number) / (unit === 'm' ? 1000 : 1);
    };

    it('a check of a slow model waits three times as long as its calls take', () => {
      work({ ...untimed, service: 'digits' }, 40);
      assert.equal(report(1).state, 'eligible');
      assert.equal(metric('outrider_health_checks_total', { endpoint: 'b:1', result: 'passed' })! > 10, true);
      const toldToPeer = seconds(checksOf(1).at(-1));
      assert.ok(toldToPeer >= 5 && toldToPeer <= 8, `${toldToPeer} s`);
      assert.equal(metric('outrider_health_check_timeout_seconds', { endpoint: 'b:1' }), toldToPeer);
    });

    it('a check of a slow model waits for the configured timeout where there is one', () => {
      work({ ...untimed, service: 'digits', timeoutMs: 1000 }, 40);
      assert.equal(report(1).state, 'unhealthy');
      assert.equal(seconds(checksOf(1).at(-1)), 1);
      assert.equal(out.cluster.sweep, null, 'nobody writes down what calls take');
    });

    it('a check of a slow model waits 1 s again after a minute without calls', () => {
      work({ ...untimed, service: 'digits' }, 40);
      answers = { a: (stream) => stream.reply(SERVING) };
      stack.advance(70_000);
      assert.equal(seconds(checksOf(0).at(-1)), 1);
    });

    it("a check that the model's work does not delay waits 1 s", () => {
      work({ ...untimed, kind: 'ping' }, 40);
      assert.equal(metric('outrider_health_check_timeout_seconds', { endpoint: 'a:1' }), 1);
      assert.equal(out.cluster.sweep, null);
    });

    it('a slow model that is frozen is found after two timed-out checks', () => {
      work({ ...untimed, service: 'digits' }, 40);
      backends[0]!.peer.socket.isCut = true;
      const frozenMs = stack.clock.now();
      while (report(0).state === 'eligible' && stack.clock.now() < frozenMs + 60_000) stack.advance(10);
      assert.match(report(0).why, /no answer to a health check in [5-8]\d\d\d ms/);
      assert.ok(stack.clock.now() - frozenMs <= 5500 + 2 * 8000, `${stack.clock.now() - frozenMs}`);
    });

    it('the timeout of a check changes with a reload', () => {
      work({ ...untimed, service: 'digits' }, 40);
      const change = (health: ActiveHealthConfig): void => {
        const config = anUpstream(['a', 'b', 'c'], { health });
        stack.health.configure(config);
        out.outbound.update(config);
        stack.advance(10_000);
      };
      change({ ...untimed, service: 'digits', timeoutMs: 3000 });
      assert.equal(seconds(checksOf(0).at(-1)), 3);
      change({ ...untimed, service: 'digits' });
      assert.equal(seconds(checksOf(0).at(-1)), 1, 'what was known before is not');
    });
  });

  it('a check that times out while the event loop stands still fails no endpoint', () => {
    open({ intervalMs: 1000 }, { pool: { pingIntervalMs: 0 } });
    stack.advance(5000);
    for (let i = 0; i < 20; i++) {
      // Asked, and then nothing is read for longer than the timeout.
      const asked: PeerStream[] = [];
      for (const name of ['a', 'b', 'c']) answers[name] = (stream) => void asked.push(stream);
      while (asked.length === 0) stack.advance(20);
      stack.clock.stall(3000);
      answers = {};
      for (const each of asked) each.reply(SERVING);
      stack.run();
      stack.advance(500);
      const states = [0, 1, 2].map((each) => report(each).state);
      assert.deepEqual(states, ['eligible', 'eligible', 'eligible']);
    }
  });

  it('an answer that has arrived is read before its check times out', () => {
    open({ timeoutMs: 100 });
    let asked: PeerStream | undefined;
    answers['a'] = (stream) => {
      asked = stream;
    };
    while (asked === undefined) stack.advance(10);
    const missed = metric('outrider_health_checks_total', { endpoint: 'a:1', result: 'silent' });
    // The timer comes first in a turn that began late, and what was read in it comes after.
    stack.clock.advance(70);
    asked.reply(SERVING);
    stack.clock.stall(40);
    stack.run();
    stack.advance(50);
    assert.equal(metric('outrider_health_checks_total', { endpoint: 'a:1', result: 'silent' }), missed);
  });

  it('a check on a connection that breaks says nothing, and the next connection is checked', () => {
    open({ intervalMs: 1000 });
    answers['a'] = () => {};
    const before = checksOf(0).length;
    while (checksOf(0).length === before) stack.advance(10);
    backends[0]!.peer.socket.break();
    delete answers['a'];
    stack.advance(3000);
    assert.equal(report(0).state, 'eligible');
    assert.equal(metric('outrider_health_checks_total', { endpoint: 'a:1', result: 'void' }), 1);
    assert.equal(metric('outrider_health_checks_total', { endpoint: 'a:1', result: 'failed' }), 0);
  });

  it('a check by PING runs on the connection and is timed', () => {
    open({ kind: 'ping' });
    stack.advance(20_000);
    assert.ok(backends[0]!.peer.pings >= 4);
    assert.equal(checksOf(0).length, 0);
  });

  it('a check by connecting needs neither HTTP/2 nor a connection of the pool', () => {
    open({ kind: 'tcp', intervalMs: 1000 });
    stack.advance(5000);
    assert.equal(report(0).state, 'eligible');
    assert.ok(backends[0]!.peers.length >= 4);
    backends[0]!.mode = 'refuses';
    stack.advance(3000);
    assert.equal(report(0).state, 'unhealthy');
    assert.match(report(0).why, /a connection was not made: ECONNREFUSED/);
    backends[0]!.mode = 'silent';
    stack.advance(3000);
    assert.match(report(0).why, /no connection was made in 1000 ms|ECONNREFUSED/);
    backends[0]!.mode = 'accepts';
    stack.advance(2000);
    assert.equal(report(0).state, 'eligible');
  });

  it('a check that finds the connection full of streams fails no endpoint', () => {
    backends[0]!.peerOptions = { settings: [[Setting.maxConcurrentStreams, 1]] };
    open({ intervalMs: 1000 });
    backends[0]!.answer = () => {};
    for (let i = 0; i < 3; i++) call();
    stack.advance(5000);
    assert.equal(report(0).state, 'eligible');
    for (const request of backends[0]!.requests) request.reply();
    stack.run();
  });

  describe('of many', () => {
    it('an endpoint of several upstreams is checked once', () => {
      open();
      const second = stack.outbound({ ...anUpstream(['a'], { health: aCheck() }), name: 'numbers' });
      // The same address, and another service is expected there: not the same peer.
      stack.advance(60_000);
      const each = checksOf(0).length;
      assert.ok(each > 18, 'two peers');
      const third = stack.outbound({
        ...anUpstream([], { health: aCheck() }),
        name: 'more-digits',
        endpoints: [{ address: addressOf('a'), weight: 1, id: 'a', service: 'digits' }],
      });
      const before = checksOf(0).length;
      answers['a'] = (stream) => stream.reply(NOT_SERVING);
      stack.advance(60_000);
      assert.ok(checksOf(0).length - before <= 28, `${checksOf(0).length - before}`);
      for (const { cluster } of [out, second, third])
        assert.equal(reportOf(cluster, cluster.endpoints[0]!, stack.clock.now()).state, 'unhealthy');
      assert.equal(metric('outrider_endpoint_healthy', { upstream: 'more-digits', endpoint: 'a:1' }), 0);
    });

    it('the checks of many endpoints begin few at a time and spread over the interval', () => {
      const names = Array.from({ length: 100 }, (_, i) => `e${i}`);
      const at: number[] = [];
      for (const name of names) {
        const backend = stack.backend(name);
        backend.answer = (stream) => {
          at.push(stack.clock.now());
          stream.reply(SERVING);
        };
      }
      out = stack.outbound(anUpstream(names, { health: aCheck() }));
      const startMs = stack.clock.now();
      stack.advance(500);
      assert.equal(at.length, 100);
      const perTurn = new Map<number, number>();
      for (const ms of at) perTurn.set(ms, (perTurn.get(ms) ?? 0) + 1);
      assert.ok(Math.max(...perTurn.values()) <= 16, `${[...perTurn.values()]}`);
      stack.advance(20_000);
      const buckets = new Array<number>(10).fill(0);
      for (const ms of at) {
        const bucket = Math.floor((ms - startMs - 6000) / 500);
        if (bucket >= 0 && bucket < 10) buckets[bucket]!++;
      }
      assert.ok(Math.max(...buckets) <= 30, `${buckets}`);
    });
  });

  it('health checks end with their endpoint, and with their option', () => {
    open();
    const config = anUpstream(['b', 'c'], { health: aCheck() });
    stack.health.configure(config);
    out.outbound.update(config);
    const before = checksOf(0).length;
    stack.advance(30_000);
    assert.equal(checksOf(0).length, before);
    assert.ok(checksOf(1).length > 3);
    answers['b'] = (stream) => stream.reply(NOT_SERVING);
    stack.advance(12_000);
    assert.equal(report(0).state, 'unhealthy');
    const none = anUpstream(['b', 'c']);
    stack.health.configure(none);
    out.outbound.update(none);
    stack.advance(10);
    assert.equal(report(0).state, 'eligible');
    const asked = checksOf(1).length;
    stack.advance(30_000);
    assert.equal(checksOf(1).length, asked);
    assert.ok(!stack.health.metrics().some(({ name }) => name === 'outrider_health_checks_total'));
  });

  it('an endpoint without a connection is not checked', () => {
    out = stack.outbound({
      ...anUpstream([], { health: aCheck() }),
      endpoints: ['a', 'b', 'c'].map((name, i) => ({
        address: addressOf(name),
        weight: 1,
        id: name,
        priority: i,
      })),
    });
    stack.advance(60_000);
    assert.deepEqual(
      [0, 1, 2].map((i) => checksOf(i).length > 0),
      [true, true, false],
    );
  });
});
