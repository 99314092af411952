/**
 * An exception in the handling of any event ends what was worked for, and nothing else. The table is made from the classes: each
 * of their event handlers throws once, before or after its work (at night both), while calls of every kind run and others beside them.
 */
import assert from 'node:assert/strict';
import type { UpstreamConfig } from '../../../sidecar/config/model.js';
import { MODEL_READINESS, Readiness } from '../../../sidecar/http2/constants.js';
import { ModelBackend } from '../../../sidecar/inbound/model-backend.js';
import { Inbound } from '../../../sidecar/inbound.js';
import { Outbound } from '../../../sidecar/outbound.js';
import { Attempt } from '../../../sidecar/relay/attempt.js';
import { RelayedCall } from '../../../sidecar/relay/relayed-call.js';
import { SessionMonitor } from '../../../sidecar/transport/keepalive/session-monitor.js';
import { Listener } from '../../../sidecar/transport/listener.js';
import { Pool } from '../../../sidecar/transport/pool.js';
import { Session } from '../../../sidecar/transport/session.js';
import { SessionGuard } from '../../../sidecar/transport/session-guard.js';
import { Flag, FrameType, grpcMessage, ping, settings } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { EFFORT } from '../../kit/mocha/effort.js';
import { silentLogger } from '../../kit/stack/silent-logger.js';
import {
  type Application,
  addressOf,
  anAutoRoute,
  anInbound,
  anUpstream,
  aRoute,
  aSafeRoute,
  aStreamRoute,
  type InboundStack,
  type OutboundStack,
  Stack,
} from '../../kit/stack/stack.js';

type Handler = (this: object, ...args: unknown[]) => unknown;
type When = 'before' | 'after';

/** Classes whose methods are events, with those that are not named `on…`. */
const CLASSES: readonly (readonly [{ readonly prototype: object; readonly name: string }, ...string[]])[] = [
  [Session, 'flush', 'release'],
  [Listener],
  [Pool],
  [SessionGuard, 'fire'],
  [SessionMonitor, 'fire'],
  [RelayedCall, 'fire', 'writeRequest', 'beginStream', 'commitResponse', 'forwardResponse'],
  [Attempt],
  [Outbound, 'requestHeaders', 'requestExtras'],
  [Inbound, 'requestHeaders', 'requestExtras'],
  [ModelBackend, 'start', 'enqueue'],
];

/**
 * Entries of sockets and servers, which cannot be told apart from what they call, what only reports, and what a reload calls, whose
 * exceptions are for the one who asked for it.
 */
const NOT_EVENTS = new Set([
  'Outbound.onTargetsChanged',
  'Session.onDefect',
  'Listener.onSocket',
  'Listener.onHello',
  'Listener.onSecure',
  'Listener.onTlsError',
]);

/** The end of a call: what it holds is given back there, so that an exception in it ends the process in an orderly way. */
const ENDS = new Set([
  'Outbound.onFinish',
  'Inbound.onFinish',
  'ModelBackend.onFinish',
  'ModelBackend.onServerCallFinish',
  'Outbound.onStopped',
]);

/** Events of features that these calls do not use; they have the same entries. */
const UNREACHED = new Set([
  'Session.onPatient',
  'Session.release',
  'Pool.onStream',
  'RelayedCall.onHeaders',
  'Outbound.onNotUnary',
  'Inbound.onModelUnclear',
  'Inbound.onModelMoved',
  'Inbound.onFirstMessage',
  'Inbound.onNotUnary',
  'Inbound.onResume',
  'Inbound.onWaitOver',
  'ModelBackend.onState',
]);

interface Event {
  readonly owner: object;
  readonly name: string;
  readonly label: string;
}

function events(): Event[] {
  return CLASSES.flatMap(([of, ...others]) => {
    const found: Event[] = [];
    const seen = new Set<string>();
    for (let owner = of.prototype; owner !== Object.prototype; owner = Object.getPrototypeOf(owner))
      for (const name of Object.getOwnPropertyNames(owner)) {
        const value = Object.getOwnPropertyDescriptor(owner, name)?.value as unknown;
        const isEvent = /^on[A-Z]/.test(name) || others.includes(name);
        if (!isEvent || seen.has(name) || typeof value !== 'function') continue;
        seen.add(name);
        const label = `${of.name}.${name}`;
        if (!NOT_EVENTS.has(label)) found.push({ owner, name, label });
      }
    return found;
  });
}

/** The connection that an event is about. */
function sessionIn(values: readonly unknown[]): Session | undefined {
  for (const value of values) {
    if (value instanceof Session) return value;
    const { session, call } = (value ?? {}) as { session?: unknown; call?: { session?: unknown } };
    if (session instanceof Session) return session;
    if (call?.session instanceof Session) return call.session;
  }
  return undefined;
}

const STREAM = '/victim.S/Stream';
const UNARY = '/victim.S/Unary';
/** A stream that goes on elsewhere when it breaks. */
const RESUMED = '/victim.S/Resumed';
/** Not said to be unary or a stream. */
const EITHER = '/victim.S/Either';
/** Its requests are too large to be sent again. */
const UNKEPT = '/victim.S/Unkept';
const READY = '/inference.GRPCInferenceService/ServerReady';
const REFLECTION = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
const MESSAGE = grpcMessage(Buffer.alloc(20_000, 1));

/** Two callers with calls of every kind, and two that must not notice. */
class Bench {
  readonly stack = new Stack({ logger: silentLogger });
  readonly upstream: UpstreamConfig;
  readonly out: OutboundStack;
  readonly side: InboundStack;
  private readonly kept: readonly { readonly listener: Listener; readonly pools: readonly Pool[] }[];
  private readonly answered = new Set<PeerStream>();
  private readonly quiet: PeerStream[] = [];
  private readonly canaries: readonly Application[];
  unsafe = '';

  constructor() {
    const { stack } = this;
    stack.context.containment.onUnsafe = (why) => {
      this.unsafe = why;
    };
    const routes = [
      aStreamRoute({ methods: [STREAM] }),
      aSafeRoute({
        methods: [UNARY],
        timeoutMs: 5_000,
        attemptTimeoutMs: 1_000,
        retry: { attempts: 2, on: [14], backoff: { baseMs: 10, maxMs: 10 } },
      }),
      aStreamRoute({
        methods: [RESUMED],
        idempotent: true,
        resumable: true,
        retry: { attempts: 3, on: [14], backoff: { baseMs: 0, maxMs: 0 } },
      }),
      anAutoRoute({ methods: [EITHER] }),
      aSafeRoute({ methods: [UNKEPT], replayBytes: 1_000 }),
      aRoute(),
    ];
    this.upstream = anUpstream(['a', 'b'], { routes, pool: { maxAgeMs: 400_000 } });
    this.out = stack.outbound(this.upstream);
    this.side = stack.inbound(anInbound({ routes }));
    const quiet = [aStreamRoute({ idleTimeoutMs: 0 })];
    const canaryOut = stack.outbound(anUpstream(['canary'], { name: 'canary', routes: quiet }));
    const local = addressOf('canary model');
    const canarySide = stack.inbound(anInbound({ local, routes: quiet }));
    const pools = canaryOut.cluster.endpoints.map(({ pool }) => pool);
    this.kept = [{ listener: canaryOut.listener, pools }, canarySide];
    this.canaries = [stack.app(canaryOut.listener), stack.app(canarySide.listener, 'app')];
    this.quiet.push(...this.canaries.map((app) => stack.settle(app.call())));
  }

  /** Sessions of the canaries, whose events are left alone. */
  get safe(): ReadonlySet<Session> {
    return new Set(
      this.kept.flatMap(({ listener, pools }) => [
        ...listener.sessions,
        ...pools.flatMap((pool) => pool.sessions),
      ]),
    );
  }

  /** What the endpoints of the victims have not answered yet, the newest last. */
  private waiting(): PeerStream[] {
    const { stack } = this;
    const backends = [stack.backend('a'), stack.backend('b'), this.side.model];
    return backends.flatMap(({ requests }) =>
      requests.filter(
        (each) => each.resetCode === undefined && !this.answered.has(each) && !each.peer.isClosed,
      ),
    );
  }

  private answer(says: () => unknown, stream: PeerStream): void {
    this.answered.add(stream);
    this.stack.settle(says());
  }

  private apps(): Application[] {
    return [this.stack.app(this.out.listener), this.stack.app(this.side.listener, 'app')];
  }

  /** Calls of every kind, and everything that may happen to them. */
  run(): void {
    const { stack } = this;
    const answerAll = (): void => {
      for (const each of this.waiting()) this.answer(() => each.reply(), each);
    };
    for (const app of this.apps()) {
      this.callOtherKinds(app);
      stack.settle(app.call({ path: UNARY }));
      answerAll();
      stack.settle(app.queue(0, ping()));
      const stream = stack.settle(app.call({ path: STREAM, body: null }));
      stack.settle(stream.data(MESSAGE));
      for (const each of this.waiting()) stack.settle(each.begin().data(MESSAGE));
      stack.settle(stream.data(MESSAGE, Flag.endStream));
      for (const each of this.waiting()) this.answer(() => each.data(MESSAGE).trailers(0), each);
      const chatty = stack.settle(app.call({ path: STREAM, body: null }));
      for (const each of this.waiting()) stack.settle(each.begin());
      for (let i = 0; i < 20; i++) {
        for (const each of this.waiting()) stack.settle(each.data(grpcMessage(Buffer.alloc(9))));
        if (i % 5 === 4) stack.advance(2);
      }
      stack.settle(chatty.headers([['x-last', '1']], Flag.endStream));
      answerAll();
      stack.settle(app.call({ path: UNARY }));
      for (const each of this.waiting()) this.answer(() => each.reply(Buffer.alloc(100_000)), each);
      app.socket.pause();
      stack.settle(app.call({ path: STREAM }));
      for (const each of this.waiting()) this.answer(() => each.reply(Buffer.alloc(60_000)), each);
      stack.settle(app.socket.resume());
      // Ends of every kind.
      stack.settle(app.call({ path: UNARY }));
      stack.advance(1_100);
      answerAll();
      stack.settle(app.call({ path: UNARY }));
      for (const each of this.waiting()) this.answer(() => each.fail(14), each);
      answerAll();
      const cancelled = stack.settle(app.call({ path: STREAM, body: null }));
      stack.settle(cancelled.reset());
      stack.settle(app.call({ path: STREAM }));
      for (const each of this.waiting()) this.answer(() => each.reset(2), each);
      stack.settle(app.call({ path: UNARY, timeout: '50m' }));
      stack.advance(100);
      stack.settle(app.call({ path: STREAM, body: null }));
      for (const each of this.waiting()) stack.settle(each.begin().data(MESSAGE));
      stack.advance(310_000);
      // More than the model takes at once.
      for (let i = 0; i < 5; i++) stack.settle(app.call({ path: UNARY }));
      for (let i = 0; i < 5; i++) answerAll();
      for (const name of ['a', 'b', 'model']) stack.kill(name);
      stack.settle(app.call({ path: UNARY }));
      stack.advance(100);
      for (const name of ['a', 'b', 'model']) stack.revive(name);
      stack.advance(5_000);
      // Connections end.
      stack.settle(app.call({ path: UNARY }));
      for (const { peer } of this.waiting()) stack.settle(peer.goaway(0));
      answerAll();
      stack.settle(app.call({ path: STREAM, body: null }));
      for (const { peer } of this.waiting()) stack.settle(peer.socket.break());
      stack.advance(5_000);
      stack.settle(app.call({ path: STREAM, body: null }));
      stack.settle(app.goaway(0));
      stack.settle(app.socket.end());
      stack.advance(15_000);
    }
    const [other] = this.apps();
    stack.settle(other!.call({ path: STREAM, body: null }));
    stack.settle(other!.socket.destroy());
    const [wrong, expired] = [this.apps()[0]!, this.apps()[0]!];
    stack.settle(wrong.call({ path: STREAM, body: null }));
    for (let i = 0; i < 1000; i++) wrong.queue(0, ping());
    stack.settle(wrong.queue(0, settings(), Buffer.from([0, 0, 0, FrameType.data, 0, 0, 0, 0, 0])));
    stack.settle(expired.call({ path: STREAM, body: null }));
    for (const session of this.out.listener.sessions) session.notAfterMs = stack.clock.wallNow();
    stack.advance(100_000);
    stack.settle(expired.socket.destroy());
    stack.advance(500_000);
  }

  /** Calls whose events those of `run` do not have. */
  private callOtherKinds(app: Application): void {
    const { stack } = this;
    const each = (says: (stream: PeerStream) => unknown): void => {
      for (const stream of this.waiting()) stack.settle(says(stream));
    };
    const endAll = (): void => {
      for (const stream of this.waiting()) this.answer(() => stream.trailers(0), stream);
    };
    const message = grpcMessage(Buffer.from('token'));
    for (const path of [READY, REFLECTION, UNKEPT]) {
      stack.settle(app.call({ path, body: MESSAGE }));
      each((stream) => stream.begin().data(message));
      endAll();
    }
    // A model that loads, and one that serves again.
    const peers = ['a', 'b', 'model'].flatMap((name) => stack.backend(name).peers);
    for (const peer of [app, ...peers])
      for (const readiness of [Readiness.loading, Readiness.serving])
        if (!peer.isClosed) stack.settle(peer.queue(0, settings([[MODEL_READINESS, readiness]])));
    // The time to its first message has a limit; then it is silent, and goes on.
    const metadata = [['outrider-attempt-timeout', '900m']] as const;
    const silent = stack.settle(app.call({ path: STREAM, body: null, metadata }));
    stack.settle(silent.data(message));
    each((stream) => stream.begin().data(message));
    stack.advance(2_000);
    stack.settle(silent.data(message, Flag.endStream));
    each((stream) => stream.data(message));
    endAll();
    // One that another endpoint resumes, and one that it does not.
    for (const fields of [[['outrider-resumed-from', '1']] as const, []]) {
      stack.settle(app.call({ path: RESUMED, body: message }));
      each((stream) => stream.begin().data(message));
      each((stream) => stream.reset(2));
      each((stream) => stream.begin(fields).data(message));
      endAll();
    }
    // A method that is unary for all that is known, and is not.
    for (const messages of [1, 1, 2]) {
      stack.settle(app.call({ path: EITHER, body: message }));
      each((stream) => stream.begin());
      for (let i = 0; i < messages; i++) each((stream) => stream.data(message));
      endAll();
    }
    // The process ends with a call inside.
    stack.settle(app.call({ path: UNARY }));
    stack.kill('model');
    stack.advance(3_000);
    stack.revive('model');
    stack.advance(1_000);
    for (const stream of this.waiting()) this.answer(() => stream.reply(), stream);
    // The endpoints change under a call, and there are none for a while.
    const { outbound } = this.out;
    stack.settle(outbound.state.update({ ...this.upstream, endpoints: [] }));
    stack.settle(app.call({ path: UNARY }));
    stack.advance(100);
    stack.settle(outbound.state.update(this.upstream));
    for (const stream of this.waiting()) this.answer(() => stream.reply(), stream);
    stack.advance(100);
  }

  /** All is as if nothing had happened: the canaries have their answers, and calls are served. */
  assertWell(): void {
    const { stack } = this;
    for (const name of ['canary', 'canary model']) stack.settle(stack.backend(name).last.reply());
    assert.deepEqual(
      this.quiet.map(({ status }) => status),
      [0, 0],
      'the calls of others',
    );
    for (const canary of this.canaries) assert.equal(canary.count(FrameType.goaway), 0);
    const apps = this.apps();
    stack.advance(5_000);
    for (const app of apps) {
      const call = stack.settle(app.call({ path: UNARY }));
      for (const each of this.waiting()) this.answer(() => each.reply(), each);
      assert.equal(call.status, 0, `a new call: ${call.reason} ${call.resetCode}`);
    }
    stack.expectedDefects = stack.context.stats.defects;
    stack.assertIdle();
  }
}

/** Runs `body` while the event throws, once, where it is about no connection in `safe`. Whether it did. */
function injected({ owner, name }: Event, when: When, safe: ReadonlySet<Session>, body: () => void): boolean {
  const original = (owner as Record<string, Handler>)[name]!;
  let isArmed = true;
  let isInside = false;
  const replacement: Handler = function (...args) {
    const session = sessionIn([this, ...args]);
    const isVictim = isArmed && !isInside && (session === undefined || !safe.has(session));
    if (!isVictim) return original.apply(this, args);
    if (when === 'before') {
      isArmed = false;
      throw new Error(`injected before ${name}`);
    }
    isInside = true;
    try {
      original.apply(this, args);
    } finally {
      isInside = false;
    }
    isArmed = false;
    throw new Error(`injected after ${name}`);
  };
  Object.defineProperty(owner, name, { value: replacement, configurable: true, writable: true });
  try {
    body();
  } finally {
    Object.defineProperty(owner, name, { value: original, configurable: true, writable: true });
  }
  return !isArmed;
}

describe('An exception in the handling of an event', () => {
  const reached = new Set<string>();
  const table = events();

  // By day one of them for each event, in turns.
  for (const [i, event] of table.entries())
    for (const when of (['before', 'after'] as const).filter((_, n) => EFFORT > 1 || n === i % 2))
      it(`${event.label}, ${when} its work, ends what it was about and nothing else`, () => {
        const bench = new Bench();
        const { stack } = bench;
        try {
          if (injected(event, when, bench.safe, () => bench.run())) reached.add(event.label);
          const { defects } = stack.context.stats;
          assert.ok(defects <= 2, `${defects} defects`);
          const ends = ENDS.has(event.label) && bench.unsafe !== '';
          if (!ends) {
            assert.equal(bench.unsafe, '');
            bench.assertWell();
            return;
          }
        } catch (error) {
          stack.abandon();
          throw error;
        }
        stack.abandon();
      });

  it('was injected into most of them', () => {
    const missed = table.filter(({ label }) => !reached.has(label)).map(({ label }) => label);
    assert.deepEqual(missed.sort(), [...UNREACHED].sort());
  });
});
