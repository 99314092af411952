/** Active checks of endpoints on the connections that calls use: which endpoints are checked, how often, and with what effect. */
import assert from 'node:assert/strict';
import { reportOf } from '../../../sidecar/app/endpoint-report.js';
import { readHealthQuestion } from '../../../sidecar/codec/health.js';
import type { ActiveHealthConfig } from '../../../sidecar/config/model.js';
import { FrameType, Setting } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { GRPC_HEALTH, isCheck } from '../../kit/scenario/upstream-stack.js';
import { bodiesOf } from '../../kit/stack/call-ends.js';
import {
  type Application,
  addressOf,
  anUpstream,
  type Backend,
  type OutboundStack,
  Stack,
  type UpstreamOptions,
} from '../../kit/stack/stack.js';

const SERVING = Buffer.from([0, 0, 0, 0, 2, 8, 1]);
const NOT_SERVING = Buffer.from([0, 0, 0, 0, 2, 8, 2]);

const NOT_YET = [['grpc-message', 'not%20yet']] as const;
const NAMES = ['a', 'b', 'c'];

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
    backends = NAMES.map((name) => stack.backend(name));
    for (const backend of backends) {
      backend.answer = (stream) => {
        if (!isCheck(stream)) stream.reply(Buffer.from(backend.name));
        else (answers[backend.name] ?? serves)(stream);
      };
    }
  });

  const serves = (stream: PeerStream): void => void stream.reply(SERVING);
  const servesNot = (stream: PeerStream): void => void stream.reply(NOT_SERVING);
  const openWith = (over: UpstreamOptions): void => {
    out = stack.outbound(anUpstream(NAMES, over));
    app = stack.app(out.listener);
    stack.advance(10);
  };
  const open = (health: Partial<ActiveHealthConfig> = {}, over: UpstreamOptions = {}): void =>
    openWith({ health: { ...GRPC_HEALTH, ...health }, ...over });
  const change = (names: readonly string[], over: UpstreamOptions = {}): void => {
    const config = anUpstream(names, over);
    stack.health.configure(config);
    out.outbound.state.update(config);
  };
  const checksOf = (i: number): PeerStream[] => backends[i]!.requests.filter(isCheck);
  const report = (i: number) => reportOf(out.cluster, out.cluster.endpoints[i]!, stack.clock.now());
  const metric = (name: string, labels: Record<string, string>): number | undefined => {
    const samples = stack.health.metrics().find((family) => family.name === name)?.samples ?? [];
    const found = samples.find(({ labels: has }) =>
      Object.entries(labels).every(([key, value]) => has[key] === value),
    );
    return found && 'value' in found ? found.value : undefined;
  };
  const checks = (endpoint: string, result: string): number | undefined =>
    metric('outrider_health_checks_total', { endpoint, result });
  const call = (): PeerStream => stack.settle(app.call());
  const load = (count: number, everyMs: number): void => {
    for (let i = 0; i < count; i++) {
      call();
      stack.advance(everyMs);
    }
  };
  /** How long it takes until the first endpoint is unhealthy, at most `limitMs`. */
  const untilUnhealthy = (limitMs: number): number => {
    const startMs = stack.clock.now();
    while (report(0).state === 'eligible' && stack.clock.now() < startMs + limitMs) stack.advance(10);
    return stack.clock.now() - startMs;
  };
  const assertUnhealthy = (why: RegExp): void => {
    assert.equal(report(0).state, 'unhealthy');
    assert.match(report(0).why, why);
  };

  it('a health check is sent as soon as an endpoint is connected, as a call on its connection', () => {
    open({ service: 'digits' });
    const [asked] = checksOf(0);
    assert.ok(asked);
    assert.equal(readHealthQuestion(asked.body), 'digits');
    const fields = ['content-type', 'te', ':scheme', ':authority'].map((name) => asked.header(name));
    assert.deepEqual(fields, ['application/grpc', 'trailers', 'https', 'digits']);
    assert.match(asked.header('grpc-timeout') ?? '', /^1000m$|^1S$/);
    assert.equal(backends[0]!.peers.length, 1);
  });

  it('an upstream without the health option sends no health checks', () => {
    openWith({});
    stack.advance(60_000);
    assert.equal(checksOf(0).length, 0);
    assert.ok(!stack.health.metrics().some(({ name }) => name === 'outrider_health_checks_total'));
  });

  it('health checks repeat at their interval and are counted as no calls', () => {
    open();
    stack.advance(60_000);
    const n = checksOf(0).length;
    assert.ok(n >= 11 && n <= 14, `${n}`);
    const { attempts, outcomes, label } = out.cluster.endpoints[0]!;
    assert.deepEqual([attempts, out.outbound.state.attempts], [0, 0]);
    assert.ok(outcomes.every((each) => each === 0));
    assert.ok(stack.context.stats.calls.every(({ started }) => started === 0));
    assert.equal(checks(label, 'passed'), n);
    assert.equal(metric('outrider_endpoint_healthy', { endpoint: label }), 1);
  });

  it('an endpoint whose calls succeed is not checked until they stop', () => {
    open({}, { balance: { kind: 'round-robin' } });
    const before = checksOf(0).length;
    load(300, 100);
    assert.ok(checksOf(0).length <= before + 1, `${checksOf(0).length}`);
    assert.ok(checks('a:1', 'skipped')! >= 5);
    stack.advance(12_000);
    assert.ok(checksOf(0).length >= before + 1);
  });

  it('a health check that names a model is sent although calls succeed', () => {
    open({ service: 'digits' });
    load(300, 100);
    assert.ok(checksOf(0).length >= 6);
  });

  it('an endpoint that answers NOT_SERVING twice gets no calls, and gets them again at its first SERVING', () => {
    open();
    answers['a'] = servesNot;
    assert.ok(untilUnhealthy(20_000) <= 5500 + 1000 + 20, 'the second one follows within a second');
    assertUnhealthy(/the health check says NOT_SERVING/);
    assert.equal(metric('outrider_endpoint_healthy', { endpoint: 'a:1' }), 0);
    for (let i = 0; i < 9; i++) assert.notEqual(call().body.toString(), 'a');
    delete answers['a'];
    stack.advance(5010);
    assert.equal(report(0).state, 'eligible');
    assert.ok(bodiesOf([call(), call(), call()]).includes('a'));
  });

  it('the first health check of a new connection decides at once', () => {
    answers['b'] = servesNot;
    open();
    assert.equal(report(1).state, 'unhealthy');
    backends[1]!.peer.socket.break();
    delete answers['b'];
    stack.advance(200);
    assert.equal(report(1).state, 'eligible');
  });

  const answerers: [string, (stream: PeerStream) => PeerStream, string][] = [
    ['without a health service', (stream) => stream.fail(12), ''],
    ['that will not tell us', (stream) => stream.fail(7), ''],
    ['that is too busy to say', (stream) => stream.fail(8), ''],
    ['that does not know the model', (stream) => stream.fail(5), 'there is no model digits'],
    ['that cannot serve', (stream) => stream.fail(14, NOT_YET), 'UNAVAILABLE: not yet'],
    ['that says UNKNOWN', (stream) => stream.reply(Buffer.alloc(5)), 'says UNKNOWN'],
    ['that babbles', (stream) => stream.reply(Buffer.alloc(2000, 7)), 'cannot be read'],
    ['that babbles without end', (stream) => stream.begin().data(Buffer.alloc(65_536)), 'far too long'],
    ['that resets', (stream) => stream.reset(), 'reset with code 8'],
    ['that ends without a status', (stream) => stream.begin().end(), 'without a status'],
  ];
  for (const [what, answer, why] of answerers) {
    it(`find a server ${what} ${why === '' ? 'well' : 'ill'}`, () => {
      answers['a'] = answer;
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

    for (const [kind, what] of [
      ['grpc', 'a health check'],
      ['ping', 'a PING'],
    ] as const) {
      it(`a frozen peer is found by health checks alone, as is its return (${kind})`, () => {
        open({ kind }, { pool: { pingIntervalMs: 0 } });
        stack.advance(20_000);
        freeze();
        const tookMs = untilUnhealthy(20_000);
        assert.ok(tookMs <= 5500 + 2 * 1000 + 30, `${tookMs}`);
        assertUnhealthy(new RegExp(`no answer to ${what} in 1000 ms`));
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
    const { timeoutMs: _, ...untimed } = { ...GRPC_HEALTH, service: 'digits' };
    /** `b` answers checks late; calls go on all the time, 40 in 100 s. */
    const work = (health: ActiveHealthConfig = untimed): void => {
      for (const backend of backends) {
        const { answer } = backend;
        backend.answer = (stream) => {
          if (isCheck(stream) && backend !== backends[1]) answer(stream);
          else stack.clock.after(2000, () => answer(stream));
        };
      }
      openWith({ health });
      load(40, 2500);
    };
    const seconds = (stream: PeerStream | undefined): number => {
      const [, number, unit] = /^(\d+)([mS])$/.exec(stream?.header('grpc-timeout') ?? '') ?? [];
      return Number(number) / (unit === 'm' ? 1000 : 1);
    };

    it('a check of a slow model waits three times as long as its calls take', () => {
      work();
      assert.equal(report(1).state, 'eligible');
      assert.ok(checks('b:1', 'passed')! > 10);
      const toldToPeer = seconds(checksOf(1).at(-1));
      assert.ok(toldToPeer >= 5 && toldToPeer <= 8, `${toldToPeer} s`);
      assert.equal(metric('outrider_health_check_timeout_seconds', { endpoint: 'b:1' }), toldToPeer);
    });

    it('a check of a slow model waits for the configured timeout where there is one', () => {
      work({ ...untimed, timeoutMs: 1000 });
      assert.deepEqual([report(1).state, seconds(checksOf(1).at(-1))], ['unhealthy', 1]);
      assert.equal(out.cluster.sweep, null, 'what calls take is not written down');
    });

    it('a check of a slow model waits 1 s again after a minute without calls', () => {
      work();
      answers = { a: serves };
      stack.advance(70_000);
      assert.equal(seconds(checksOf(0).at(-1)), 1);
    });

    it("a check that the model's work does not delay waits 1 s", () => {
      work({ ...untimed, kind: 'ping' });
      assert.equal(metric('outrider_health_check_timeout_seconds', { endpoint: 'a:1' }), 1);
      assert.equal(out.cluster.sweep, null);
    });

    it('a slow model that is frozen is found after two timed-out checks', () => {
      work();
      backends[0]!.peer.socket.isCut = true;
      const tookMs = untilUnhealthy(60_000);
      assert.match(report(0).why, /no answer to a health check in [5-8]\d\d\d ms/);
      assert.ok(tookMs <= 5500 + 2 * 8000, `${tookMs}`);
    });

    it('the timeout of a check changes with a reload', () => {
      work();
      change(NAMES, { health: { ...untimed, timeoutMs: 3000 } });
      stack.advance(10_000);
      assert.equal(seconds(checksOf(0).at(-1)), 3);
      change(NAMES, { health: untimed });
      stack.advance(10_000);
      assert.equal(seconds(checksOf(0).at(-1)), 1, 'what was known before is not');
    });
  });

  it('a check that times out while the event loop stands still fails no endpoint', () => {
    open({ intervalMs: 1000 }, { pool: { pingIntervalMs: 0 } });
    stack.advance(5000);
    for (let i = 0; i < 20; i++) {
      // Asked, and then nothing is read for longer than the timeout.
      const asked: PeerStream[] = [];
      for (const name of NAMES) answers[name] = (stream) => void asked.push(stream);
      while (asked.length === 0) stack.advance(20);
      stack.clock.stall(3000);
      answers = {};
      for (const each of asked) each.reply(SERVING);
      stack.run();
      stack.advance(500);
      for (const each of [0, 1, 2]) assert.equal(report(each).state, 'eligible');
    }
  });

  it('an answer that has arrived is read before its check times out', () => {
    open({ timeoutMs: 100 });
    let asked: PeerStream | undefined;
    answers['a'] = (stream) => {
      asked = stream;
    };
    while (asked === undefined) stack.advance(10);
    const missed = checks('a:1', 'silent');
    // The timer comes first in a turn that began late, and what was read in it comes after.
    stack.clock.advance(70);
    asked.reply(SERVING);
    stack.settle(stack.clock.stall(40));
    stack.advance(50);
    assert.equal(checks('a:1', 'silent'), missed);
  });

  it('a check on a connection that breaks says nothing, and the next connection is checked', () => {
    open({ intervalMs: 1000 });
    answers['a'] = () => {};
    const before = checksOf(0).length;
    while (checksOf(0).length === before) stack.advance(10);
    backends[0]!.peer.socket.break();
    delete answers['a'];
    stack.advance(3000);
    assert.deepEqual([report(0).state, checks('a:1', 'void'), checks('a:1', 'failed')], ['eligible', 1, 0]);
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
    assertUnhealthy(/a connection was not made: ECONNREFUSED/);
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
      const second = stack.outbound(anUpstream(['a'], { health: GRPC_HEALTH, name: 'numbers' }));
      // The same address, and another service is expected there: not the same peer.
      stack.advance(60_000);
      const each = checksOf(0).length;
      assert.ok(each > 18, 'two peers');
      const endpoints = [{ address: addressOf('a'), weight: 1, id: 'a', service: 'digits' }];
      const third = stack.outbound(anUpstream([], { health: GRPC_HEALTH, name: 'more-digits', endpoints }));
      const before = checksOf(0).length;
      answers['a'] = servesNot;
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
        stack.backend(name).answer = (stream) => {
          at.push(stack.clock.now());
          serves(stream);
        };
      }
      out = stack.outbound(anUpstream(names, { health: GRPC_HEALTH }));
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
    change(['b', 'c'], { health: GRPC_HEALTH });
    const before = checksOf(0).length;
    stack.advance(30_000);
    assert.equal(checksOf(0).length, before);
    assert.ok(checksOf(1).length > 3);
    answers['b'] = servesNot;
    stack.advance(12_000);
    assert.equal(report(0).state, 'unhealthy');
    change(['b', 'c']);
    stack.advance(10);
    assert.equal(report(0).state, 'eligible');
    const asked = checksOf(1).length;
    stack.advance(30_000);
    assert.equal(checksOf(1).length, asked);
    assert.ok(!stack.health.metrics().some(({ name }) => name === 'outrider_health_checks_total'));
  });

  it('an endpoint without a connection is not checked', () => {
    const endpoints = anUpstream(NAMES).endpoints.map((each, priority) => ({ ...each, priority }));
    openWith({ health: GRPC_HEALTH, endpoints });
    stack.advance(60_000);
    const areChecked = [0, 1, 2].map((i) => checksOf(i).length > 0);
    assert.deepEqual(areChecked, [true, true, false]);
  });
});
