import assert from 'node:assert/strict';
import { readEngineLoad } from '../../../../sidecar/codec/engines/engine-load.js';
import { VLLM } from '../../../../sidecar/codec/engines/vllm.js';
import { MessageWriter } from '../../../../sidecar/codec/protobuf.js';

const loadIn = (message: Buffer) => readEngineLoad(VLLM.loads!, message);
const part = (running: number, waiting: number, used: number, most: number): MessageWriter =>
  new MessageWriter()
    .number(2, running)
    .number(3, waiting)
    .number(5, used)
    .number(6, most)
    .double(7, used / most);

describe('what an engine says of its load', () => {
  it('is the sum of its parts', () => {
    const said = new MessageWriter()
      .text(2, '0.32.0')
      .message(4, part(3, 1, 40, 100))
      .message(4, part(2, 0, 10, 100));
    assert.deepEqual(loadIn(said.finish()), { running: 5, waiting: 1, usedTokens: 50, mostTokens: 200 });
  });

  it('may be that it has nothing to do', () => {
    const said = new MessageWriter().message(4, new MessageWriter().number(1, 0));
    assert.deepEqual(loadIn(said.finish()), { running: 0, waiting: 0, usedTokens: 0, mostTokens: 0 });
  });

  for (const [what, message] of [
    ['no part', new MessageWriter().text(2, '0.32.0').finish()],
    ['a negative number', new MessageWriter().message(4, new MessageWriter().number(2, 2 ** 53)).finish()],
    ['what is no message', Buffer.from([0x22, 0x05, 0x10])],
    ['a part that is none', Buffer.from([0x22, 0x01, 0x10])],
  ] as const)
    it(`is none where it says ${what}`, () => assert.equal(loadIn(message), undefined));
});
