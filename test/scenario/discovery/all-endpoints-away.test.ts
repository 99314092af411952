/**
 * Every endpoint is out of reach for a while: the network, the registry of certificates or this process itself is to blame.
 * When they are back, all of them take calls again, and nothing that happened meanwhile is held against any of them. One
 * that goes again right after it came is found out all the same.
 */
import assert from 'node:assert/strict';
import { HEALTH_CHECK, healthAnswer } from '../../../sidecar/codec/health.js';
import { Outcome } from '../../../sidecar/core/outcome/outcome.js';
import { DetectorPool } from '../../kit/scenario/detector-pool.js';
import { aRoute, aSafeRoute, type Backend } from '../../kit/stack/stack.js';

const NAMES = ['a', 'b', 'c', 'd'];
const ALL_ELIGIBLE = NAMES.map(() => 'eligible');

describe('Scenario: all endpoints were away', () => {
  let pool: DetectorPool;
  afterEach(() => pool.close());

  const open = (names: readonly string[] = NAMES, route = aSafeRoute()): void => {
    pool = new DetectorPool(names, { routes: [route] });
    pool.load(40, 20);
  };
  const become = (mode: 'accepts' | 'refuses' | 'silent', names = pool.names): void => {
    for (const name of names) {
      const backend = pool.backend(name);
      backend.mode = mode;
      if (mode === 'accepts') for (const peer of backend.peers) peer.socket.heal();
      else for (const peer of backend.open) peer.socket.break();
    }
    pool.run();
  };
  const faults = (): number =>
    NAMES.reduce((sum, name) => sum + pool.endpoint(name).outcomes[Outcome.fault]!, 0);
  const assertAllServe = (): void => {
    const served = pool.load(200, 50);
    assert.deepEqual(pool.states, ALL_ELIGIBLE);
    assert.equal(served['14'], undefined);
    for (const name of NAMES) assert.ok(served[name]! > 40, JSON.stringify(served));
  };

  it('and refused all connections, twice', () => {
    open();
    for (let i = 0; i < 2; i++) {
      become('refuses');
      pool.load(400, 10);
      become('accepts');
      pool.advance(5000);
      assertAllServe();
    }
  });

  it('and no connect was answered: attempts came to the end of their time waiting for one', () => {
    open(NAMES, aSafeRoute({ attemptTimeoutMs: 100, timeoutMs: 1000 }));
    become('silent');
    pool.load(400, 10);
    become('accepts');
    pool.advance(6000);
    assertAllServe();
  });

  it('and calls were lost with every connection', () => {
    open(NAMES, aRoute());
    pool.advance(11_000);
    for (const name of NAMES) pool.backend(name).answer = () => {};
    for (let i = 0; i < 16; i++) pool.caller.call();
    pool.run();
    become('refuses');
    for (const name of NAMES) pool.works(name);
    pool.advance(1000);
    become('accepts');
    pool.advance(5000);
    // One more failure each would be enough, if what they lost still counted.
    for (const name of NAMES) pool.fails(name);
    pool.load(4, 10);
    for (const name of NAMES) pool.works(name);
    assertAllServe();
  });

  describe('or failed every call, over connections that stood', () => {
    const NO_MODEL = Object.entries({ 'outrider-reason': 'model-unavailable', 'outrider-unprocessed': '1' });

    for (const [how, trailers] of [
      ['their sidecars say that the models are gone', NO_MODEL],
      ['the models answer with errors', []],
    ] as const) {
      it(`${how}: none is ejected for that once they are back, and all have their share within twelve seconds`, () => {
        const over = { balance: { kind: 'least-loaded' }, ejection: { baseMs: 2_000 } } as const;
        pool = new DetectorPool(NAMES, { routes: [aSafeRoute()], ...over });
        const ejections = () => NAMES.map((name) => pool.endpoint(name).ejection.ejections);
        const become = (isWell: boolean): void => {
          for (const name of NAMES) {
            pool.backend(name).answer = (stream) => {
              if (stream.header(':path') === HEALTH_CHECK) stream.reply(healthAnswer(isWell));
              else if (isWell) pool.clock.after(5, () => stream.reply(Buffer.from(name)));
              else stream.fail(14, trailers);
            };
          }
        };
        become(true);
        pool.load(400, 5);
        become(false);
        pool.load(1_000, 5);
        const before = ejections();
        become(true);
        // An endpoint avoided for its latency is tried again after ten seconds.
        pool.load(2_400, 5);
        const { 14: failed, ...served } = pool.load(800, 5);
        assert.equal(failed, undefined);
        for (const name of NAMES) assert.ok(served[name]! > 100, JSON.stringify(served));
        assert.deepEqual(pool.states, ALL_ELIGIBLE);
        assert.deepEqual(ejections(), before, 'ejections after they were back');
      });
    }
  });

  it('for want of an identity to connect with, which is no endpoint’s fault', () => {
    open();
    pool.hasIdentity = false;
    pool.out.outbound.state.expireConnections();
    pool.load(400, 10);
    assert.equal(faults(), 0);
    pool.hasIdentity = true;
    pool.settle(pool.out.outbound.state.refreshConnections());
    assertAllServe();
  });

  it('for want of a file descriptor, which is no endpoint’s fault either', () => {
    open();
    for (const name of NAMES) pool.backend(name).refusal = 'EMFILE';
    become('refuses');
    const failed = pool.load(400, 10)['14']!;
    assert.ok(failed > 390, `${failed}`);
    assert.equal(faults(), 0);
    become('accepts');
    pool.advance(5000);
    assertAllServe();
  });

  it('because there are as many connections as may be', () => {
    const breaker = { maxConnections: 1, maxPending: 100, maxInFlight: 100, maxRetries: 10 };
    pool = new DetectorPool(NAMES, { routes: [aRoute()], breaker });
    const starved = pool.out.cluster.endpoints.find((endpoint) => !endpoint.isConnected)!;
    const heard: string[] = [];
    const onConnectFailed = (reason: string, whose: string): void => void heard.push(`${whose}: ${reason}`);
    starved.pool.wait({ holder: {}, onSession() {}, onConnectFailed });
    pool.advance(100);
    assert.deepEqual(heard, ['ours: there are as many connections as may be']);
  });
});

describe('Scenario: an endpoint that goes again right after it came', () => {
  let pool: DetectorPool;
  let a: Backend;
  beforeEach(() => {
    pool = new DetectorPool(['a', 'b', 'c'], { routes: [aSafeRoute()] });
    pool.load(60, 20);
    a = pool.backend('a');
  });
  afterEach(() => pool.close());

  it('is ejected, though every connection is a new beginning', () => {
    a.answer = (stream) => stream.peer.socket.break();
    const before = pool.endpoint('a').attempts;
    pool.load(100, 20);
    assert.deepEqual(pool.states, ['ejected', 'eligible', 'eligible']);
    assert.equal(pool.endpoint('a').ejection.ejections, 1);
    const tried = pool.endpoint('a').attempts - before;
    assert.ok(tried <= 6, `${tried} attempts at it`);
  });

  it('also when it is gone for a moment each time', () => {
    a.answer = (stream) => {
      a.mode = 'refuses';
      pool.clock.after(700, () => (a.mode = 'accepts'));
      stream.peer.socket.break();
    };
    pool.load(600, 20);
    assert.equal(pool.endpoint('a').ejection.ejections, 1);
  });
});
