import assert from 'node:assert/strict';
import { join } from 'node:path';
import { GrpcClient } from '../../../../sidecar/health/model/grpc-client.js';
import { systemTimers } from '../../../../sidecar/runtime/time/timers.js';
import { afterTest } from '../../../kit/mocha/after-test.js';
import { Scratch } from '../../../kit/process/outrider.js';
import type { AskedCall } from '../../../kit/service/socket-server.js';
import { prefixed, respond, respondStatus, serveOnSocket } from '../../../kit/service/socket-server.js';

describe('the small gRPC client', () => {
  let client: GrpcClient;
  let answer: (call: AskedCall) => void;

  beforeEach(async () => {
    const scratch = new Scratch();
    afterTest(() => scratch.remove());
    const path = join(scratch.path, 's');
    await serveOnSocket(path, (call) => answer(call));
    client = new GrpcClient({ kind: 'unix', path }, systemTimers);
    afterTest(() => client.close());
  });

  const call = (request = Buffer.alloc(0)) =>
    client.call('/a.B/C', request, { timeoutMs: 5_000, maxBytes: 16 });
  const answerWith = (body: Buffer): void => {
    answer = ({ stream }) => respond(stream, body);
  };

  it('gives the message of the answer, and lets the server know how long it waits', async () => {
    let seen: AskedCall['headers'] = {};
    answer = ({ stream, headers }) => {
      seen = headers;
      respond(stream, prefixed(Buffer.from([7, 8])));
    };
    assert.deepEqual(await call(Buffer.from([1])), { kind: 'message', message: Buffer.from([7, 8]) });
    assert.deepEqual([seen[':path'], seen['grpc-timeout'], seen['te']], ['/a.B/C', '5000m', 'trailers']);
  });

  it('gives a status with its words', async () => {
    const words = 'no model %27d%C3%A4%27 %zz';
    for (const [message, expected] of [
      [words, words],
      ['d%C3%A4', 'dä'],
    ]) {
      answer = ({ stream }) => respondStatus(stream, 5, { 'grpc-message': message });
      assert.deepEqual(await call(), { kind: 'status', status: 5, message: expected });
    }
  });

  for (const [name, body] of [
    ['compressed', [1, 0, 0, 0, 1, 0]],
    ['cut off', [0, 0, 0, 0, 9, 0]],
    ['absent', []],
    ['two', [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
  ] as const)
    it(`takes no message that is ${name}`, async () => {
      answerWith(Buffer.from(body));
      const message = 'the answer is not one plain message';
      assert.deepEqual(await call(), { kind: 'status', status: 13, message });
    });

  it('ends an answer that is too long, and goes on with the next', async () => {
    answerWith(Buffer.alloc(100_000));
    assert.equal((await call()).kind, 'silent');
    answerWith(prefixed(Buffer.alloc(0)));
    assert.equal((await call()).kind, 'message');
  });
});
