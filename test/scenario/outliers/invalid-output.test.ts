/**
 * One replica answers with NaN. Its answers are sampled, the same requests are put to a peer, and when that one does
 * better the replica is charged and ejected. When it is the input that is bad, no endpoint is.
 */
import assert from 'node:assert/strict';
import { sizeLimitReports } from '../../../sidecar/app/metrics/size-limits.js';
import { ANSWERS_NEEDED } from '../../../sidecar/core/routing/method-kinds.js';
import { grpcMessage } from '../../kit/http2/h2-frames.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { anAnswer, aPredictAnswer, aTensor, aTextAnswer } from '../../kit/service/infer-answers.js';
import { anInferRequest } from '../../kit/service/infer-requests.js';
import { anAutoRoute, aRoute, aSafeRoute, type UpstreamOptions } from '../../kit/stack/stack.js';

const GOOD = anAnswer([0.1, 0.9]);
const BAD = anAnswer([Number.NaN, 0.9]);
const SHORT = anAnswer([0.1]);

describe('Scenario: invalid output', () => {
  let stack: UpstreamStack;
  const open = (over: UpstreamOptions = {}): void => {
    const detectors = {
      invalidOutput: { mode: 'enforce', above: 0.5, minSamples: 20, sampleRatio: 1 },
    } as const;
    const routes = [aSafeRoute()];
    stack = new UpstreamStack(['a', 'b', 'c'], { routes, ...over, ejection: { detectors } });
    answerWith(GOOD);
  };
  const answerWith = (body: Buffer, ...names: readonly string[]): void =>
    stack.answers((stream) => void stream.reply(body), ...names);
  const load = (count: number, everyMs = 100): void => {
    for (let i = 0; i < count; i++) {
      const call = stack.caller.call();
      stack.advance(everyMs);
      assert.equal(call.status, 0);
    }
  };
  const counts = () => stack.out.cluster.sweep!.inspector!.counts;

  it('ejects the one whose answers are none, by the word of its peers', () => {
    open();
    answerWith(BAD, 'b');
    load(90);
    assert.deepEqual(stack.states, ['eligible', 'ejected', 'eligible']);
    const why = /^\d+ of \d+ sampled answers in 60 s are invalid.*last: output "scores": 1 of 2 numbers/;
    assert.match(stack.report('b').why, why);
    assert.ok(counts().charged >= 20 && counts().acquitted === 0);
    assert.ok(counts().inOrder >= 40);
  });

  for (const [server, path, good, bad, flaw] of [
    [
      'TensorFlow Serving',
      '/tensorflow.serving.PredictionService/Predict',
      aPredictAnswer({ scores: aTensor([0.1, 0.9]) }),
      aPredictAnswer({ scores: aTensor([Number.NaN, 0.9]) }),
      /last: output "scores": 1 of 2 numbers are NaN/,
    ],
    [
      'TorchServe',
      '/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions',
      aTextAnswer('[0.1, 0.9]'),
      aTextAnswer('[NaN, 0.9]'),
      /last: the text of the answer has numbers that are NaN/,
    ],
  ] as const)
    it(`reads the answers of ${server} too, whose methods need no configuration`, () => {
      open({ routes: [anAutoRoute({ idempotent: true })] });
      answerWith(good);
      answerWith(bad, 'b');
      stack.load(90, 100, { path });
      assert.deepEqual(stack.states, ['eligible', 'ejected', 'eligible']);
      assert.match(stack.report('b').why, flaw);
      assert.deepEqual([counts().acquitted, counts().unknownFormat], [0, 0]);
    });

  it('says of methods whose answers have no form that it knows that it does not read them', () => {
    open({ routes: [anAutoRoute({ idempotent: true })] });
    stack.load(60, 100, { path: '/shop.Prices/Predict' });
    stack.load(10, 100, { path: '/inference.GRPCInferenceService/ModelReady' });
    const { unknownFormat } = counts();
    assert.equal(unknownFormat, 60 - ANSWERS_NEEDED, 'from the moment on when they are known to be unary');
    const [{ feature, why } = {}] = sizeLimitReports([stack.out.outbound.state]);
    assert.equal(feature, 'inspection');
    assert.match(why!, /^10 answers of methods whose form is not known: ModelInfer, Predict of/);
  });

  it('lets a trial whose answer is as bad as before fail, though its status is OK, and one that is well end the ejection', () => {
    open();
    answerWith(BAD, 'b');
    load(90);
    assert.equal(stack.report('b').state, 'ejected');
    const before = stack.requestsAt('b').length;
    // Far beyond the first ejection: each trial is one call.
    load(600, 200);
    assert.equal(stack.report('b').state, 'ejected');
    const trials = stack.requestsAt('b').length - before;
    assert.ok(trials >= 1 && trials <= 10, `${trials} calls`);
    assert.match(stack.report('b').why, /failed trials? since$/);
    answerWith(GOOD, 'b');
    load(2_000, 200);
    assert.equal(stack.report('b').state, 'eligible');
  });

  it('keeps no invalid answer of a trial as the last good one, where the route does not retry', () => {
    const fallback = [{ kind: 'last-good', maxAgeMs: 600_000, maxBytes: 100_000 }] as const;
    open({ routes: [aRoute({ idempotent: true, fallback })] });
    answerWith(BAD, 'b');
    load(90);
    assert.equal(stack.states[1], 'ejected');
    stack.advance(60_000);
    const before = stack.requestsAt('b').length;
    let trial = stack.call();
    for (let i = 0; i < 10 && stack.requestsAt('b').length === before; i++) trial = stack.call();
    assert.deepEqual([trial.body, stack.states[1]], [BAD, 'ejected']);
    stack.answers((stream) => void stream.fail(14));
    const next = stack.call();
    assert.deepEqual([next.status, next.body], [0, GOOD]);
    // For samples that are still to be looked at.
    stack.advance(10_000);
  });

  it('asks another endpoint in place of a trial whose answer is invalid, where the route retries', () => {
    open({ routes: [aSafeRoute({ retry: { attempts: 2, on: [14], backoff: { baseMs: 25, maxMs: 250 } } })] });
    answerWith(BAD, 'b');
    load(90);
    assert.equal(stack.report('b').state, 'ejected');
    const before = stack.requestsAt('b').length;
    for (let i = 0; i < 600; i++) {
      const call = stack.caller.call();
      stack.advance(200);
      assert.deepEqual([call.status, call.body.equals(GOOD)], [0, true]);
    }
    assert.ok(stack.requestsAt('b').length > before, 'it was tried');
    stack.advance(1_000);
    assert.equal(stack.context.memory.held, 0);
  });

  it('ejects the one whose answers have another form', () => {
    open();
    answerWith(SHORT, 'c');
    load(90);
    assert.deepEqual(stack.states, ['eligible', 'eligible', 'ejected']);
  });

  it('ejects none for inputs that all endpoints answer so', () => {
    open();
    answerWith(BAD);
    load(120);
    assert.deepEqual(stack.states, ['eligible', 'eligible', 'eligible']);
    assert.ok(counts().acquitted >= 100);
    assert.equal(counts().charged, 0);
  });

  it('charges nothing that may not be sent again', () => {
    open({ routes: [aRoute()] });
    answerWith(BAD, 'b');
    load(90);
    assert.deepEqual(stack.states, ['eligible', 'eligible', 'eligible']);
    assert.equal(counts().unproven, 30);
    assert.equal(stack.backend('a').requests.length, 30, 'and nothing has been');
  });

  it('passes on what it cannot read, and counts it', () => {
    open();
    const bodies = [grpcMessage(Buffer.from('no message')), grpcMessage(Buffer.alloc(0)), GOOD];
    for (const [i, name] of ['a', 'b', 'c'].entries()) answerWith(bodies[i]!, name);
    const seen = new Set<string>();
    for (let i = 0; i < 30; i++) {
      const call = stack.caller.call();
      stack.advance(100);
      assert.equal(call.status, 0);
      seen.add(call.body.toString('hex'));
    }
    assert.deepEqual([...seen].sort(), bodies.map((body) => body.toString('hex')).sort(), 'to the byte');
    assert.ok(counts().unreadable >= 10);
    assert.deepEqual(stack.states, ['eligible', 'eligible', 'eligible']);
  });

  it('looks at a few answers a second, however many there are', () => {
    open();
    load(2_000, 1);
    const { inOrder, charged, acquitted, unproven, unreadable } = counts();
    const seen = inOrder + charged + acquitted + unproven + unreadable;
    assert.ok(seen > 40 && seen <= 121, `${seen}`);
    stack.advance(100);
    assert.equal(stack.context.memory.held, 0);
  });

  describe('with the default sample', () => {
    const detectors = {
      invalidOutput: { mode: 'enforce', above: 0.5, minSamples: 5, sampleRatio: 0.05 },
    } as const;
    beforeEach(() => {
      stack = new UpstreamStack(['a', 'b', 'c'], { routes: [aSafeRoute()], ejection: { detectors } });
      answerWith(GOOD);
    });

    it('looks at ten of a second, and a share of the others', () => {
      load(2_000, 5);
      // 10 and 5 % of 190 in each of ten seconds.
      const { inOrder } = counts();
      assert.ok(inOrder > 150 && inOrder < 240, `${inOrder}`);
    });

    it('charges one that breaks in the middle of a second within that second', () => {
      load(550, 10);
      answerWith(BAD, 'b');
      load(45, 10);
      assert.ok(counts().charged > 0);
    });

    it('ejects by five charges of one that answered well for a minute before, in two seconds at eight calls a second', () => {
      load(24 * 60, 1_000 / 24);
      answerWith(BAD, 'b');
      load(36, 1_000 / 24);
      assert.deepEqual(stack.states, ['eligible', 'ejected', 'eligible']);
      assert.equal(counts().charged, 5, 'no call waits for the next second to be told');
    });

    it('ejects none that answers badly to one call in four', () => {
      let answered = 0;
      stack.answers((stream) => void stream.reply(++answered % 4 === 0 ? BAD : GOOD), 'b');
      load(600, 40);
      assert.deepEqual(stack.states, ['eligible', 'eligible', 'eligible']);
      assert.ok(counts().charged > 10, 'though it is charged');
    });
  });

  it('gives the peer its own time, however little is left of that of the call', () => {
    open({ routes: [aSafeRoute({ attemptTimeoutMs: 300 })] });
    answerWith(BAD, 'b');
    stack.load(30, 200, {
      timeout: '1S',
      metadata: [['traceparent', `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`]],
    });
    stack.advance(1_000);
    const { charged } = counts();
    const own = stack.requests.filter((each) =>
      /^5(S|000m|000000u)$/.test(each.header('grpc-timeout') ?? ''),
    );
    assert.ok(charged > 0 && own.length >= charged, `${own.length} for ${charged}`);
    for (const name of ['outrider-deadline', 'outrider-attempt-timeout', 'traceparent'])
      for (const each of own) assert.equal(each.header(name), undefined, name);
  });

  it('gives up on a peer that does not answer', () => {
    open();
    answerWith(BAD, 'b');
    stack.answers((stream) => void (stack.requestsAt('a').length % 2 === 1 && stream.reply(GOOD)), 'a');
    stack.load(30, 200, { timeout: '1S' });
    stack.advance(30_000);
    assert.ok(counts().unproven > 0);
  });

  describe('in answers that are too long to be held', () => {
    /** 300 KB of scores, of a request of 588 KB. */
    const COUNT = 75_000;
    const LARGE = anAnswer(new Array<number>(COUNT).fill(0.5));
    const LARGE_BAD = anAnswer(new Array<number>(COUNT).fill(Number.NaN));
    const REQUEST = anInferRequest('digits', 588_000);
    const loadLarge = (count: number, everyMs = 100, body = REQUEST): void => {
      for (let i = 0; i < count; i++) {
        const call = stack.caller.call({ body });
        stack.advance(everyMs);
        assert.equal(call.status, 0);
      }
    };
    const assertNothingKept = (): void => {
      stack.advance(10_000);
      assert.equal(stack.context.memory.held, 0);
    };
    const unseen = () => stack.out.cluster.sweep!.inspector!.unseen;
    const NONE = { requestTooLarge: 0, responseTooLarge: 0, memory: 0 };

    it('ejects the one whose answers are none', () => {
      open();
      answerWith(LARGE);
      answerWith(LARGE_BAD, 'b');
      loadLarge(75);
      assert.deepEqual(stack.states, ['eligible', 'ejected', 'eligible']);
      assert.match(
        stack.report('b').why,
        /last: output "scores": 16384 of 16384 numbers looked at \(it has 75000\)/,
      );
      assert.equal(counts().acquitted, 0);
      assert.deepEqual({ ...unseen() }, NONE);
      assertNothingKept();
    });

    it('ejects none for inputs that all endpoints answer so', () => {
      open();
      answerWith(LARGE_BAD);
      loadLarge(60);
      assert.deepEqual(stack.states, ['eligible', 'eligible', 'eligible']);
      assert.equal(counts().charged, 0);
      assert.ok(counts().acquitted >= 50, `${counts().acquitted}`);
      assertNothingKept();
    });

    it('ejects none for a NaN that the sample of the peer misses: all of its answer is read before a charge', () => {
      open();
      const scattered = (from: number): Buffer => {
        const scores = new Array<number>(COUNT).fill(0.5);
        for (let i = from; i < COUNT; i += 9_000) scores[i] = Number.NaN;
        return anAnswer(scores);
      };
      for (const [i, name] of ['a', 'b', 'c'].entries()) answerWith(scattered(1_000 + i), name);
      loadLarge(90);
      assert.deepEqual(stack.states, ['eligible', 'eligible', 'eligible']);
      assert.equal(counts().charged, 0);
      assert.ok(counts().acquitted > 20, `${counts().acquitted}`);
      assertNothingKept();
    });

    it('charges none for an answer that breaks off, or that nothing of its request may be sent again for', () => {
      open({ routes: [aRoute()] });
      answerWith(LARGE_BAD, 'a', 'c');
      stack.answers((stream) => void stream.begin().data(LARGE_BAD).reset(2), 'b');
      for (let i = 0; i < 12; i++) {
        stack.call({ body: REQUEST });
        stack.advance(100);
      }
      assert.deepEqual([counts().charged, counts().unproven > 0], [0, true]);
      assertNothingKept();
    });

    it('leaves alone, and counts, what is longer than it may keep', () => {
      const MOST = 1024 * 1024;
      open({ routes: [aSafeRoute({ sampleBytes: MOST, replayBytes: 500_000 })] });
      answerWith(anAnswer(new Array<number>(MOST / 4).fill(Number.NaN)), 'a');
      answerWith(LARGE_BAD, 'b', 'c');
      loadLarge(9);
      assert.deepEqual([counts().unproven, counts().charged], [6, 0]);
      assert.deepEqual({ ...unseen() }, { ...NONE, requestTooLarge: 9, responseTooLarge: 3 });
      assertNothingKept();
    });

    it('steps back where calls need the memory, and counts it', () => {
      open();
      answerWith(LARGE_BAD);
      const { memory } = stack.context;
      const taken = Math.ceil(memory.limit * 0.499);
      memory.reserve(taken);
      loadLarge(9);
      assert.equal(counts().charged + counts().acquitted + counts().unproven, 0);
      assert.ok(unseen().memory >= 9, `${unseen().memory}`);
      memory.release(taken);
      assertNothingKept();
    });

    it('passes on every byte while it looks', () => {
      open();
      const scores = Array.from({ length: COUNT }, (_, i) => i);
      const answer = anAnswer(scores);
      answerWith(answer);
      for (let i = 0; i < 5; i++) {
        const call = stack.call({ body: REQUEST });
        assert.ok(call.body.equals(answer));
        stack.advance(100);
      }
      assert.ok(counts().inOrder >= 5);
      assertNothingKept();
    });

    it('holds answers up to what the route says, so that they can be asked for again', () => {
      open({ routes: [aSafeRoute({ holdBytes: 4 * 1024 * 1024 })] });
      const most = Buffer.alloc(4 * 1024 * 1024 + 5, 7);
      let calls = 0;
      stack.answers(
        (stream) => void (calls++ === 0 ? stream.begin().data(most).trailers(14) : stream.reply(most)),
      );
      const call = stack.call({ body: REQUEST });
      assert.deepEqual([call.status, calls, call.body.equals(most)], [0, 2, true]);
      const tooLong = Buffer.alloc(most.length + 1, 7);
      stack.answers((stream) => void stream.begin().data(tooLong).trailers(14));
      const lost = stack.call({ body: REQUEST });
      assert.deepEqual([lost.status, lost.body.length], [14, tooLong.length]);
      assertNothingKept();
    });
  });
});
