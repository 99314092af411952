import assert from 'node:assert/strict';
import { AnswerTokens } from '../../../../sidecar/codec/engines/answer-tokens.js';
import { MessageParts } from '../../../../sidecar/codec/engines/message-parts.js';
import { SGLANG } from '../../../../sidecar/codec/engines/sglang.js';
import { TRTLLM } from '../../../../sidecar/codec/engines/trtllm.js';
import { VLLM } from '../../../../sidecar/codec/engines/vllm.js';
import { aGenerateRequest, messagesFor, tokensFor } from '../../../kit/engines/scripted-engine.js';
import { grpcMessage } from '../../../kit/http2/h2-frames.js';
import { seeded } from '../../../kit/time/seeded-random.js';

const ids = (...values: readonly number[]): Buffer => {
  const parts = new MessageParts();
  for (const value of values) parts.varint(1, value);
  // Without the tag of each.
  return Buffer.concat([...values].map((value) => new MessageParts().varint(1, value).finish().subarray(1)));
};
/** A message whose field `number` is a message of these parts. */
const message = (number: number, parts: MessageParts): Buffer =>
  grpcMessage(new MessageParts().bytes(number, parts.finish()).finish());
const read = (bytes: Buffer, answer = new AnswerTokens(VLLM.answer)): AnswerTokens => {
  answer.take(bytes, 0, bytes.length);
  return answer;
};
const counts = ({ prompt, cached, output, isUnreadable }: AnswerTokens) => ({
  prompt,
  cached,
  output,
  isUnreadable,
});

describe('the tokens of an answer', () => {
  it('are counted whatever messages they come in, in pieces of any size, each once', () => {
    const random = seeded(5);
    for (let run = 0; run < 50; run++) {
      const request = aGenerateRequest({
        sampling_params: { temperature: 0, max_tokens: 1 + Math.floor(random() * 60), logprobs: run % 2 },
      });
      const bytes = Buffer.concat(messagesFor(request, () => 1 + Math.floor(random() * 5), 3));
      const answer = new AnswerTokens(VLLM.answer);
      for (let at = 0; at < bytes.length; ) {
        const end = Math.min(bytes.length, at + 1 + Math.floor(random() * 40));
        answer.take(bytes, at, end);
        at = end;
      }
      const output = tokensFor(request).length;
      assert.deepEqual(counts(answer), { prompt: 4, cached: 3, output, isUnreadable: false });
    }
  });

  it('are those of the last message where no other one had any', () => {
    const complete = new MessageParts()
      .bytes(1, ids(7, 300, 70_000))
      .number(3, 9)
      .number(5, 2);
    assert.deepEqual(counts(read(message(2, complete))), {
      ...{ prompt: 9, cached: 2, output: 3, isUnreadable: false },
    });
  });

  it('may be written one by one, beside fields of every kind', () => {
    const chunk = new MessageParts().varint(1, 5).varint(1, 500).number(2, 4).bytes(5, Buffer.alloc(3_000));
    chunk.raw(Buffer.from([0x7d, 1, 2, 3, 4, 0x71, 1, 2, 3, 4, 5, 6, 7, 8]));
    const bytes = grpcMessage(
      new MessageParts().bytes(9, Buffer.alloc(500, 0xff)).bytes(1, chunk.finish()).number(12, 1).finish(),
    );
    assert.deepEqual(counts(read(bytes)), { prompt: 4, cached: 0, output: 2, isUnreadable: false });
  });

  it('say how the last message ends the answer, in pieces of any size', () => {
    const said = (reason: string): Buffer =>
      message(
        2,
        new MessageParts()
          .bytes(1, ids(7, 300))
          .bytes(2, Buffer.from(reason))
          .number(3, 9)
          .bytes(6, Buffer.from('error')),
      );
    const chunk = message(1, new MessageParts().bytes(1, ids(7)).bytes(2, Buffer.from('abort')));
    for (const [bytes, failure, hasEnd] of [
      [said('abort'), 'abort', true],
      [said('error'), 'error', true],
      [said('stop'), '', true],
      [said('aborted'), '', true],
      [said(`abort${' '.repeat(40)}`), '', true],
      [said(''), '', true],
      [chunk, '', false],
      [Buffer.concat([said('abort'), chunk]), '', false],
      [Buffer.concat([said('abort'), said('stop')]), '', true],
    ] as const)
      for (const piece of [1, 2, 7, 1_000]) {
        const answer = new AnswerTokens(VLLM.answer);
        for (let at = 0; at < bytes.length; at += piece)
          answer.take(bytes, at, Math.min(bytes.length, at + piece));
        assert.deepEqual([answer.failure, answer.hasEnd, answer.isUnreadable], [failure, hasEnd, false]);
      }
  });

  it('of SGLang and TensorRT-LLM have places of their own', () => {
    const sglang = new MessageParts().bytes(1, ids(1, 2)).number(2, 8).number(3, 2).number(4, 6);
    const ofSglang = read(message(2, sglang), new AnswerTokens(SGLANG.answer));
    assert.deepEqual(counts(ofSglang), { prompt: 8, cached: 6, output: 2, isUnreadable: false });
    const all = new MessageParts()
      .bytes(1, ids(1, 2, 3))
      .number(5, 8)
      .number(6, 3)
      .number(7, 5);
    const ofTrtllm = read(message(3, all), new AnswerTokens(TRTLLM.answer));
    assert.deepEqual(counts(ofTrtllm), { prompt: 8, cached: 5, output: 3, isUnreadable: false });
  });

  it('are those so far once something is no message of the engine', () => {
    const good = message(1, new MessageParts().bytes(1, ids(1, 2)).number(2, 4));
    const chunk = new MessageParts().bytes(1, ids(1)).finish();
    const bad: readonly Buffer[] = [
      Buffer.concat([Buffer.from([1]), good.subarray(1)]),
      // A group, the field 0, a chunk and ids beyond their ends, and a varint that does not end.
      grpcMessage(Buffer.from([0x0b])),
      grpcMessage(Buffer.from([0x02, 0])),
      grpcMessage(Buffer.from([0x0a, 9, 0])),
      grpcMessage(Buffer.from([0x0a, 2, 0x0a, 5])),
      grpcMessage(Buffer.from([0x0a, 3, 0x0a, 1, 0x80])),
      grpcMessage(Buffer.from([0x0a, 1, 0x0a])),
      grpcMessage(Buffer.from([0x18])),
      grpcMessage(Buffer.concat([Buffer.from([0x18]), Buffer.alloc(12, 0xff)])),
    ];
    for (const each of bad) {
      const answer = read(Buffer.concat([good, each, good]));
      assert.deepEqual([answer.isUnreadable, answer.output], [true, 2], each.toString('hex'));
    }
    const cut = grpcMessage(
      Buffer.concat([Buffer.from([0x0a, chunk.length + 1]), chunk, Buffer.from([0x10])]),
    );
    const ofCut = read(Buffer.concat([good, cut, good]));
    assert.deepEqual([ofCut.isUnreadable, ofCut.output], [true, 3]);
    assert.deepEqual(counts(read(Buffer.concat([good, grpcMessage(Buffer.alloc(0)), good]))), {
      ...{ prompt: 4, cached: 0, output: 4, isUnreadable: false },
    });
  });

  it('of bytes of chance are a number, and never an exception', () => {
    const random = seeded(11);
    for (let run = 0; run < 300; run++) {
      const body = Buffer.from(Array.from({ length: 60 }, () => Math.floor(random() * 256)));
      const answer = read(Buffer.concat([grpcMessage(body), grpcMessage(body)]));
      assert.ok(answer.output >= 0 && answer.output <= 120);
    }
  });
});
