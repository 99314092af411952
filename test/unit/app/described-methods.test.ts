/** A service is asked for its methods by server reflection, over a real socket and on a manual clock: whatever it answers, it is bounded. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DescribedMethods } from '../../../sidecar/app/described-methods.js';
import { MessageWriter } from '../../../sidecar/codec/protobuf.js';
import type { MethodList } from '../../../sidecar/core/routing/method-kinds.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { scratchForTest } from '../../kit/mocha/scratch.js';
import {
  type AskedCall,
  prefixed,
  respond,
  respondStatus,
  serveOnSocket,
} from '../../kit/service/socket-server.js';
import { anAppContext } from '../../kit/stack/app-context.js';
import { until } from '../../kit/stack/sidecar-in-memory.js';
import { Stack } from '../../kit/stack/stack.js';

const LIST = new MessageWriter()
  .message(6, new MessageWriter().message(1, new MessageWriter().text(1, 'shop.Prices')))
  .finish();

/** A file with one service of these methods; those that begin with `S` are streams. */
function fileWith(...methods: string[]): Buffer {
  const service = new MessageWriter().text(1, 'Prices');
  for (const name of methods)
    service.message(2, new MessageWriter().text(1, name).number(6, Number(name.startsWith('S'))));
  const file = new MessageWriter().text(2, 'shop').message(6, service);
  return new MessageWriter().message(4, new MessageWriter().bytes(1, file.finish())).finish();
}

describe('The description of a service', () => {
  let stack: Stack;
  let heard: (MethodList | undefined)[];
  let calls: AskedCall[];
  let described: DescribedMethods;
  const asksForFile = ({ message }: AskedCall): boolean => message[0] === 0x22;
  const versionOf = ({ headers }: AskedCall): string => String(headers[':path']).split('.')[2]!;

  const serve = async (answer: (call: AskedCall) => void): Promise<void> => {
    stack = new Stack();
    heard = [];
    calls = [];
    const path = join(scratchForTest().path, 's');
    await serveOnSocket(path, (call) => {
      calls.push(call);
      answer(call);
    });
    described = new DescribedMethods({ kind: 'unix', path }, anAppContext(stack), (list) => heard.push(list));
    afterTest(() => described.stop());
    described.update(true);
  };
  const heardAll = (count: number): Promise<void> => until('it is heard', () => heard.length === count);
  const answers =
    (...methods: string[]) =>
    (call: AskedCall): void =>
      respond(call.stream, prefixed(asksForFile(call) ? fileWith(...methods) : LIST));

  it('has its unary methods and its streams', async () => {
    await serve(answers('Get', 'Stream'));
    await heardAll(1);
    assert.deepEqual(heard, [{ unary: ['/shop.Prices/Get'], streaming: ['/shop.Prices/Stream'] }]);
    assert.deepEqual(calls.map(versionOf), ['v1', 'v1']);
  });

  it('is asked for by the older version where the newer is not there', async () => {
    await serve((call) => (versionOf(call) === 'v1' ? respondStatus(call.stream, 12) : answers('Get')(call)));
    await heardAll(1);
    assert.deepEqual(calls.map(versionOf), ['v1', 'v1alpha', 'v1alpha']);
    assert.equal(heard[0]?.unary.length, 1);
  });

  it('is asked for anew each time the service starts, and no more often', async () => {
    await serve(answers('Get'));
    await heardAll(1);
    described.update(true);
    described.update(false);
    stack.clock.advance(3_600_000);
    assert.equal(calls.length, 2);
    described.update(true);
    await heardAll(2);
    assert.equal(calls.length, 4);
  });

  it('is none where there is no reflection, and is not asked for again', async () => {
    await serve((call) => respondStatus(call.stream, 12));
    await heardAll(1);
    stack.clock.advance(3_600_000);
    assert.deepEqual([heard, calls.length, stack.clock.pending()], [[undefined], 2, 0]);
  });

  const bad: Record<string, (call: AskedCall) => void> = {
    'that is no message': ({ stream }) => respond(stream, Buffer.from('noise')),
    'that is no list': ({ stream }) => respond(stream, prefixed(Buffer.from('ffff', 'hex'))),
    'of more than a megabyte': ({ stream }) => respond(stream, prefixed(Buffer.alloc(2 * 1024 * 1024))),
    'with a file that is none': (call) =>
      respond(call.stream, prefixed(asksForFile(call) ? Buffer.from('22ff', 'hex') : LIST)),
    INTERNAL: ({ stream }) => respondStatus(stream, 13),
    'that is a reset': ({ stream }) => stream.close(2),
  };
  for (const [name, answer] of Object.entries(bad))
    it(`an answer ${name} is asked for five times, ever more seldom, and then no more`, async () => {
      await serve(answer);
      for (const ms of [5_000, 10_000, 20_000, 40_000]) {
        await until(`a pause of ${ms} ms`, () => stack.clock.nextDueMs() - stack.clock.now() === ms);
        assert.deepEqual(heard, []);
        stack.clock.advance(ms);
      }
      await heardAll(1);
      stack.clock.advance(3_600_000);
      assert.deepEqual([heard, stack.clock.pending()], [[undefined], 0]);
    });

  it('of a service that is silent is given up after 2 s', async () => {
    await serve(() => {});
    await until('it is asked', () => calls.length === 1);
    stack.clock.advance(2_000);
    await until('it waits', () => stack.clock.nextDueMs() - stack.clock.now() === 5_000);
    described.stop();
    assert.equal(stack.clock.pending(), 0);
  });
});
