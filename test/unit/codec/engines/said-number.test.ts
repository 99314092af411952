import assert from 'node:assert/strict';
import { readNumber } from '../../../../sidecar/codec/engines/said-number.js';
import { VLLM } from '../../../../sidecar/codec/engines/vllm.js';
import { MessageWriter } from '../../../../sidecar/codec/protobuf.js';

const slotsIn = (message: Buffer): number => readNumber(VLLM.slots!, message);

describe('how many requests an engine says that it runs', () => {
  it('stands in the answer of GetServerInfo, among others', () => {
    const info = new MessageWriter().number(1, 3).text(5, 'vllm-grpc').number(20, 64).number(9, 1);
    assert.equal(slotsIn(info.finish()), 64);
  });

  for (const [what, message] of [
    ['nothing', Buffer.alloc(0)],
    ['a number that no engine has', new MessageWriter().number(20, 1_000_000).finish()],
    ['a negative number', Buffer.from([0xa0, 0x01, ...Array<number>(9).fill(0xff), 0x01])],
    ['a text', new MessageWriter().text(20, '64').finish()],
    ['what is no message', Buffer.from([0xa0, 0x01, 0xff])],
  ] as const)
    it(`is not known where it says ${what}`, () => assert.equal(slotsIn(message), 0));
});

describe('how long an engine says that its context is', () => {
  it('stands in the answer of GetModelInfo, among others', () => {
    const info = new MessageWriter().text(1, '/models/m').number(2, 1).number(3, 131_072).number(4, 1_000);
    assert.equal(readNumber(VLLM.context!, info.finish()), 131_072);
    assert.equal(readNumber(VLLM.context!, new MessageWriter().number(3, 2 ** 31).finish()), 0);
  });
});
