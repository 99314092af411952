/**
 * Streams by chance: endpoints that cut their messages anywhere and die anywhere, callers that read as they like. Whatever
 * happens, a caller gets the messages of one answer from the first on, each once, and all of them where the status is OK.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { RouteConfig } from '../../../sidecar/config/model.js';
import { ErrorCode, grpcMessage, windowUpdate } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { runs } from '../../kit/mocha/effort.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { aSafeRoute, aStreamRoute } from '../../kit/stack/stack.js';

const NAMES = ['a', 'b', 'c'];
/** Of one answer, about: so that it ends in time. */
const MOST_FRAMES = 500;
const REQUEST = grpcMessage(Buffer.from('prompt'));

/** How one attempt goes: the bytes of each frame, and how it dies behind so many of them; none: it does not. */
interface Part {
  readonly frames: readonly number[];
  readonly diesAfter: number;
  readonly how: 'break' | 'reset' | 'status';
  /** It says that it goes on, or begins anew. */
  readonly resumes: boolean;
  /** It has this message and the next one in one; −1: none. */
  readonly mergesAt: number;
}

const part: fc.Arbitrary<Part> = fc.record({
  frames: fc.array(fc.integer({ min: 1, max: 2_000 }), { minLength: 1, maxLength: 5 }),
  diesAfter: fc.oneof(fc.integer({ min: 0, max: 6_000 }), fc.constant(Number.POSITIVE_INFINITY)),
  how: fc.constantFrom('break', 'reset', 'status'),
  resumes: fc.boolean(),
  mergesAt: fc.oneof(
    { weight: 9, arbitrary: fc.constant(-1) },
    { weight: 2, arbitrary: fc.integer({ min: 0, max: 5 }) },
  ),
});
const size = fc.oneof(
  { weight: 30, arbitrary: fc.integer({ min: 0, max: 900 }) },
  { weight: 1, arbitrary: fc.integer({ min: 16_000, max: 40_000 }) },
);

interface Story {
  readonly sizes: readonly number[];
  readonly parts: readonly Part[];
  readonly isDeterministic: boolean;
  /** Bytes that the caller reads at a time; 0: whatever comes. */
  readonly reads: number;
}

const story: fc.Arbitrary<Story> = fc.record({
  sizes: fc.array(size, { minLength: 1, maxLength: 12 }),
  parts: fc.array(part, { minLength: 1, maxLength: 4 }),
  isDeterministic: fc.boolean(),
  reads: fc.constantFrom(0, 7, 1_000),
});

/** What became of the caller's stream. */
interface Ending {
  readonly status: number;
  readonly reason: string | undefined;
  readonly body: Buffer;
  readonly resumed: number;
}

function play({ sizes, parts, isDeterministic, reads }: Story): Ending {
  const route: Partial<RouteConfig> = { resumable: true, deterministic: isDeterministic };
  const routes = [aStreamRoute({ idempotent: true, retry: aSafeRoute().retry!, ...route })];
  const budget = { ratio: 1, perSecond: 100 };
  const stack = new UpstreamStack(NAMES, { routes, budget, ejection: { mode: 'observe' } });
  let begun = 0;
  // Of messages that differ from replica to replica, none can go on after so many of them.
  const isSame = parts.every(({ mergesAt }) => mergesAt < 0);
  stack.answers((stream) => {
    const each = parts[begun++] ?? WELL;
    const resumes = each.resumes && isSame;
    serve(stack, stream, { ...each, resumes }, messagesOf(sizes, each.mergesAt));
  });
  const slow = { settings: [[4, 50]], replenishes: false } as const;
  const caller = reads === 0 ? stack.caller : stack.app(stack.out.listener, undefined, slow);
  const call = stack.settle(caller.call({ body: REQUEST }));
  for (let i = 0; i < 2_000 && !call.isOver; i++) {
    if (reads > 0) {
      caller.send(windowUpdate(0, reads * 20));
      stack.settle(call.credit(reads * 20));
    }
    stack.advance(10);
  }
  const { resumed } = stack.out.outbound.state;
  const ending = { status: call.status, reason: call.reason, body: call.body, resumed };
  stack.assertIdle();
  stack.close();
  return ending;
}

const WELL: Part = {
  frames: [500],
  diesAfter: Number.POSITIVE_INFINITY,
  how: 'break',
  resumes: true,
  mergesAt: -1,
};

function messagesOf(sizes: readonly number[], mergesAt = -1): Buffer[] {
  const bodies = sizes.map((bytes, i) => Buffer.alloc(bytes, i + 1));
  if (mergesAt >= 0) bodies.splice(mergesAt, 2, Buffer.concat(bodies.slice(mergesAt, mergesAt + 2)));
  return bodies.map((body) => grpcMessage(body));
}

/** What the messages say, whatever their boundaries; the last one may be cut. */
function textOf(body: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at + 5 <= body.length; ) {
    const end = at + 5 + body.readUInt32BE(at + 1);
    parts.push(body.subarray(at + 5, end));
    at = end;
  }
  return Buffer.concat(parts);
}

/** Sends a frame every ms, until it dies or is done. */
function serve(stack: UpstreamStack, stream: PeerStream, part: Part, messages: readonly Buffer[]): void {
  const asked = Number(stream.header('outrider-resume-after') ?? 0);
  const from = part.resumes ? asked : 0;
  const body = Buffer.concat(messages.slice(from));
  stream.begin(part.resumes && asked > 0 ? [['outrider-resumed-from', String(asked)]] : []);
  let at = 0;
  let n = 0;
  const goOn = (): void => {
    if (stream.resetCode !== undefined || stream.peer.isClosed) return;
    if (at >= part.diesAfter) return die(stream, part);
    if (at === body.length) return void stream.trailers(0);
    const frame = Math.max(part.frames[n++ % part.frames.length]!, body.length / MOST_FRAMES);
    const end = Math.min(body.length, part.diesAfter, Math.ceil(at + frame));
    stream.data(body.subarray(at, end));
    at = end;
    stack.clock.after(1, goOn);
  };
  stack.clock.after(1, goOn);
}

function die(stream: PeerStream, { how }: Part): void {
  if (how === 'break') stream.peer.socket.break();
  else if (how === 'reset') stream.reset(ErrorCode.internalError);
  else stream.trailers(14);
}

describe('Scenario: streams that break anywhere', () => {
  it('never give a message twice, none out of place, and all of them where they end well', function () {
    this.timeout(60_000);
    const seen = { well: 0, resumed: 0, broken: 0, other: 0 };
    fc.assert(
      fc.property(story, (told) => {
        const { status, reason, body, resumed } = play(told);
        const whole = Buffer.concat(messagesOf(told.sizes));
        const [text, all] = [textOf(body), textOf(whole)];
        assert.ok(text.equals(all.subarray(0, text.length)), 'what came is the beginning of the answer');
        const isSame = told.parts.every(({ mergesAt }) => mergesAt < 0);
        if (isSame) assert.ok(body.equals(whole.subarray(0, body.length)), 'in the same messages');
        if (status === 0)
          assert.equal(isSame ? body.length : text.length, isSame ? whole.length : all.length);
        else assert.ok(status === 14 || status === 13, `${status} ${reason}`);
        if (told.parts.every(({ diesAfter }) => diesAfter > whole.length)) assert.equal(status, 0);
        seen[status === 0 ? 'well' : 'broken']++;
        if (resumed > 0 && status === 0) seen.resumed++;
        if (!isSame && told.isDeterministic && reason === 'not-resumed') seen.other++;
      }),
      { numRuns: runs(60) },
    );
    assert.ok(
      seen.well > runs(8) && seen.resumed > runs(3) && seen.broken > runs(1) && seen.other > 0,
      JSON.stringify(seen),
    );
  });
});
