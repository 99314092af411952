/**
 * The core of a language-model engine freezes behind a front that goes on to answer health checks. Its sidecar sees that no byte of any answer comes
 * though answers have begun, and that is a hang after `longest_run`. What explains a silence otherwise is none, however long it lasts.
 */
import assert from 'node:assert/strict';
import type { GenerateRequest } from '../../../proto/vllm-service.js';
import { HangDetector } from '../../../sidecar/supervise/hang-detector.js';
import {
  aGenerateRequest,
  framedRequest,
  GENERATE,
  messagesFor,
  requestIn,
} from '../../kit/engines/scripted-engine.js';
import { encodeResponse } from '../../kit/engines/vllm-messages.js';
import { grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerOptions, PeerStream } from '../../kit/http2/scripted-peer.js';
import { FakeProbe, SERVING } from '../../kit/process/fake-process.js';
import { ModelStack } from '../../kit/stack/model-stack.js';
import { type Application, aStreamRoute } from '../../kit/stack/stack.js';

const LONGEST_RUN_MS = 60_000;
const LONG_ANSWER = { sampling_params: { max_tokens: 2_000, ignore_eos: true, temperature: 0 } };
/** An upper bound of the time between two looks at an engine whose answers are silent. */
const LOOK_MS = 3_000;

describe('Scenario: the core of a language-model engine freezes behind its front', () => {
  let stack: ModelStack;
  let detector: HangDetector;
  let hangs: string[];

  beforeEach(() => {
    const routes = [aStreamRoute({ idleTimeoutMs: 0 })];
    stack = new ModelStack({ engine: 'vllm', routes, queue: { concurrency: 4, maxWaiting: 10 } });
    stack.model.answer = () => {};
    const probe = new FakeProbe();
    probe.health = SERVING;
    hangs = [];
    const { clock, side } = stack;
    detector = new HangDetector(
      {
        ...{ clock, timers: clock, probe, signs: undefined, watcher: undefined },
        longestRunMs: LONGEST_RUN_MS,
        activity: () => side.instance.activity.report(),
      },
      { onHang: (why) => hangs.push(why), onNotServing: () => {} },
    );
  });
  afterEach(() => detector.stop());

  const open = (over: Partial<GenerateRequest> = LONG_ANSWER, from?: Application): PeerStream =>
    stack.call({ path: GENERATE, body: framedRequest(aGenerateRequest(over)) }, from);
  const latest = (): PeerStream => stack.requests.at(-1)!;
  const answer = (stream: PeerStream): Buffer[] => messagesFor(requestIn(stream.body), () => 1);
  const send = (stream: PeerStream, from: number, to: number): void =>
    void stack.settle(stream.data(Buffer.concat(answer(stream).slice(from, to))));
  const begin = (stream: PeerStream): void => {
    stack.settle(stream.begin());
    send(stream, 0, 2);
  };
  const pass = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 500) {
      stack.advance(500);
      for (let i = 0; i < 4; i++) await Promise.resolve();
    }
  };
  const passes = async (ms: number): Promise<void> => {
    await pass(ms);
    assert.deepEqual(hangs, []);
  };

  it('it is convicted after longest_run, though nothing of its calls has moved for so long', async () => {
    open();
    begin(latest());
    open();
    begin(latest());
    await passes(LONGEST_RUN_MS - LOOK_MS);
    await pass(3 * LOOK_MS);
    assert.equal(hangs.length, 1);
    assert.match(hangs[0]!, /^no byte of any answer for 6\d\.\d s, longer than longest_run \(60\.0 s\)/);
  });

  it('it is convicted, though new calls keep coming that get no token', async () => {
    open();
    begin(latest());
    for (let i = 0; i < 30 && hangs.length === 0; i++) {
      open();
      await pass(LOOK_MS);
    }
    assert.equal(hangs.length, 1);
  });

  it('it is convicted, though callers leave and come meanwhile', async () => {
    open();
    begin(latest());
    const other = open();
    begin(latest());
    await pass(LONGEST_RUN_MS / 2);
    stack.settle(other.reset());
    await pass(LONGEST_RUN_MS / 2 + 2 * LOOK_MS);
    assert.equal(hangs.length, 1);
  });

  describe('is not what', () => {
    it('one answer that moves shows, whatever the others do', async () => {
      open();
      begin(latest());
      open();
      const moves = latest();
      begin(moves);
      for (let i = 2; i < 12; i++) {
        await passes(LONGEST_RUN_MS - LOOK_MS);
        send(moves, i, i + 1);
      }
    });

    it('a first token that is long in coming shows, as that of a very long prompt', async () => {
      open();
      await passes(5 * LONGEST_RUN_MS);
    });

    it('an answer that comes in one piece shows', async () => {
      open({ ...LONG_ANSWER, stream: false });
      await passes(5 * LONGEST_RUN_MS);
      stack.settle(latest().begin().data(answer(latest()).at(-1)!));
      await passes(5 * LONGEST_RUN_MS);
    });

    it('a message without a token shows, which comes before the prompt is read', async () => {
      open();
      const chunk = { token_ids: [], prompt_tokens: 4, completion_tokens: 0, cached_tokens: 0 };
      stack.settle(
        latest()
          .begin()
          .data(grpcMessage(encodeResponse({ chunk }))),
      );
      await passes(5 * LONGEST_RUN_MS);
    });

    it('answers that wait behind the prompt of an unusually large request show', async () => {
      open();
      begin(latest());
      await pass(LONGEST_RUN_MS / 2);
      const input_ids = Array.from({ length: 5_000 }, (_, i) => i + 1);
      open({ ...LONG_ANSWER, tokenized: { input_ids } });
      await passes(5 * LONGEST_RUN_MS);
      // From its first token on the engine is to go on.
      begin(latest());
      await passes(LONGEST_RUN_MS - LOOK_MS);
      await pass(3 * LOOK_MS);
      assert.equal(hangs.length, 1);
    });

    it('callers that do not read show: the engine has filled their windows', async () => {
      const stopped = (options: Omit<PeerOptions, 'role'>) => stack.caller('app', options);
      const reader = stopped({ settings: [[4, 1_000]], replenishes: false });
      open(LONG_ANSWER, reader);
      stack.settle(latest().begin());
      const chunks = answer(latest()).slice(0, 1_900);
      for (let at = 0; at < 40; at++) stack.settle(latest().data(Buffer.concat(chunks)));
      await passes(5 * LONGEST_RUN_MS);
    });

    it('an answer that has ended shows, whose call has not', async () => {
      open();
      const messages = answer(latest());
      stack.settle(latest().begin().data(Buffer.concat(messages)));
      await passes(5 * LONGEST_RUN_MS);
    });

    it('a model shows that runs nothing', async () => {
      open();
      begin(latest());
      stack.settle(latest().trailers(0));
      await passes(5 * LONGEST_RUN_MS);
    });
  });

  it('a silence that it came back from is no hang again, up to three times as long', async () => {
    open();
    const stream = latest();
    begin(stream);
    await passes(LONGEST_RUN_MS - LOOK_MS);
    send(stream, 2, 3);
    await passes(2.5 * LONGEST_RUN_MS);
    await pass(LONGEST_RUN_MS);
    assert.equal(hangs.length, 1);
  });
});
