/** Real calls, brought into each phase by what peers do; then everything that can come from outside happens to them. */
import assert from 'node:assert/strict';
import type { RouteConfig } from '../../../sidecar/config/model.js';
import type { OutboundCall } from '../../../sidecar/outbound/call.js';
import { Outbound } from '../../../sidecar/outbound.js';
import { CallPhase, isCommittedIn, isFinishedIn, type PhaseName } from '../../../sidecar/relay/call-phase.js';
import { grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { aSafeRoute, aStreamRoute, type CallOptions } from '../../kit/stack/stack.js';

const BACKOFF_MS = 1000;
const USUAL_MS = 40;
const DEADLINE_MS = 15_000;
const retry = { attempts: 3, on: [14], backoff: { baseMs: BACKOFF_MS, maxMs: BACKOFF_MS } };
const UNARY = aSafeRoute({ retry, timeoutMs: DEADLINE_MS });
const STREAM = aStreamRoute({ idempotent: true, retry, resumable: true, timeoutMs: DEADLINE_MS });
const MESSAGE = grpcMessage(Buffer.from('a token'));

/** One call that has come as far as the test brings it. */
class Case {
  readonly stack: UpstreamStack;
  readonly call: OutboundCall;

  constructor(route: RouteConfig, options: CallOptions = {}) {
    this.stack = new UpstreamStack(['a', 'b', 'c'], {
      routes: [route],
      budget: { ratio: 1, perSecond: 100 },
    });
    if (route.hedge !== undefined) this.warmUp();
    const { outbound } = this.stack.out;
    let call: OutboundCall | undefined;
    outbound.accept = (session, stream, block, ended) => {
      Outbound.prototype.accept.call(outbound, session, stream, block, ended);
      call = stream.owner as OutboundCall;
    };
    this.stack.call(options);
    assert.ok(call);
    this.call = call;
  }

  /** A hedge is due by the usual latency, so there has to be one. */
  private warmUp(): void {
    const { stack } = this;
    stack.works(stack.names, USUAL_MS);
    stack.load(30, USUAL_MS + 10);
    stack.answers(() => {});
    for (const name of stack.names) stack.backend(name).requests.length = 0;
  }

  get phase(): PhaseName {
    return nameOf(this.call.phase);
  }

  /** The request of an attempt that runs, or of the only one that there was. */
  get last(): PeerStream {
    const { requests } = this.stack;
    return requests.find(({ isOver, peer }) => !isOver && !peer.isClosed) ?? requests[0]!;
  }

  fails(): this {
    this.stack.settle(this.last.fail(14));
    return this;
  }

  begins(): this {
    this.stack.settle(this.last.begin().data(MESSAGE));
    return this;
  }

  breaks(): this {
    this.stack.settle(this.last.peer.socket.break());
    return this;
  }

  waits(ms: number): this {
    this.stack.advance(ms);
    return this;
  }
}

function nameOf(phase: CallPhase): PhaseName {
  return (Object.keys(CallPhase) as PhaseName[]).find((name) => CallPhase[name] === phase)!;
}

const hedge = { percentile: 0.95, minDelayMs: 1, maxRatio: 0.5 };
const REACHED: Readonly<Record<PhaseName, () => Case>> = {
  waiting: () => new Case(UNARY).fails(),
  trying: () => new Case(UNARY, { body: null }),
  hedged: () => new Case({ ...UNARY, hedge }).waits(2 * USUAL_MS),
  closed: () => {
    const done = new Case(UNARY);
    done.stack.settle(done.last.fail(3));
    return done;
  },
  answering: () => new Case(STREAM).begins(),
  between: () => new Case(STREAM).begins().breaks(),
  resuming: () =>
    new Case(STREAM)
      .begins()
      .breaks()
      .waits(3 * BACKOFF_MS),
  ended: () => {
    const done = new Case(UNARY);
    done.stack.settle(done.last.reply());
    return done;
  },
};

/** Where the call is once its endpoint, or one of its two, has sent the whole response or has failed. */
const OF_ENDPOINT: Readonly<Partial<Record<PhaseName, Readonly<Record<'replies' | 'fails', PhaseName>>>>> = {
  trying: { replies: 'ended', fails: 'waiting' },
  hedged: { replies: 'ended', fails: 'trying' },
  answering: { replies: 'ended', fails: 'between' },
};

describe('A real call', () => {
  for (const phase of Object.keys(CallPhase) as PhaseName[]) {
    const isOver = isFinishedIn(CallPhase[phase]);
    const over: PhaseName = isCommittedIn(CallPhase[phase]) ? 'ended' : 'closed';

    it(`in phase ${phase} is there`, () => {
      assert.equal(REACHED[phase]().phase, phase);
    });

    it(`in phase ${phase} ${isOver ? 'ignores more of' : 'takes'} its request`, () => {
      const { call, stack } = REACHED[phase]();
      const before = call.requestBytes;
      stack.settle(call.onData(call.stream, MESSAGE as never, 0, MESSAGE.length, false));
      assert.equal(call.requestBytes - before, isOver ? 0 : MESSAGE.length);
      assert.equal(nameOf(call.phase), phase);
    });

    it(`in phase ${phase} ${isOver ? 'does nothing' : `is ${over}`} when its caller goes away`, () => {
      const { call, stack } = REACHED[phase]();
      stack.settle(call.onEnding());
      assert.equal(nameOf(call.phase), isOver ? phase : over);
    });

    it(`in phase ${phase} ${isOver ? 'does nothing' : `is ${over}`} at its deadline`, () => {
      const { call, stack } = REACHED[phase]();
      call.deadlineMs = stack.clock.now();
      stack.settle(call.fire());
      assert.equal(nameOf(call.phase), isOver ? phase : over);
    });

    it(`in phase ${phase} ${isOver ? 'is left alone' : `is ${over}`} when an exception ends it`, () => {
      const { call, stack } = REACHED[phase]();
      stack.settle(call.giveUp());
      assert.equal(nameOf(call.phase), isOver ? phase : over);
    });

    const ofEndpoint = OF_ENDPOINT[phase];
    if (ofEndpoint === undefined) continue;
    it(`in phase ${phase} is ${ofEndpoint.replies} when its endpoint replies, and ${ofEndpoint.fails} when it fails`, () => {
      const replied = REACHED[phase]();
      const { last } = replied;
      replied.stack.settle(phase === 'answering' ? last.trailers(0) : last.reply());
      assert.equal(replied.phase, ofEndpoint.replies);
      const failed = REACHED[phase]();
      if (phase === 'answering') failed.breaks();
      else failed.fails();
      assert.equal(failed.phase, ofEndpoint.fails);
    });
  }

  it('goes on from waiting and from between with another attempt, and from resuming with the rest', () => {
    assert.equal(REACHED.waiting().waits(3 * BACKOFF_MS).phase, 'trying');
    const resumed = REACHED.resuming();
    const second = resumed.stack.requests.find((each) => each.header('outrider-resume-after') === '1')!;
    resumed.stack.settle(second.begin([['outrider-resumed-from', '1']]).data(MESSAGE));
    assert.equal(resumed.phase, 'answering');
    resumed.stack.settle(second.trailers(0));
    assert.equal(resumed.phase, 'ended');
  });
});
