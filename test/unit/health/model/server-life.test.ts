import assert from 'node:assert/strict';
import { join } from 'node:path';
import { GrpcClient } from '../../../../sidecar/health/model/grpc-client.js';
import { queryServerLife } from '../../../../sidecar/health/model/server-life.js';
import { systemTimers } from '../../../../sidecar/runtime/time/timers.js';
import { afterTest } from '../../../kit/mocha/after-test.js';
import { Scratch } from '../../../kit/process/outrider.js';
import { type AskedCall, respond, respondStatus, serveOnSocket } from '../../../kit/service/socket-server.js';

const LIVE = Buffer.from([0, 0, 0, 0, 2, 0x08, 1]);
const NOT_LIVE = Buffer.alloc(5);

describe('whether a model server is ending', () => {
  for (const [what, life, answer] of [
    ['one that is live', 'live', ({ stream }: AskedCall) => respond(stream, LIVE)],
    ['one that is not live', 'ending', ({ stream }: AskedCall) => respond(stream, NOT_LIVE)],
    [
      'UNAVAILABLE, as of Triton from SIGTERM on',
      'ending',
      ({ stream }: AskedCall) => respondStatus(stream, 14),
    ],
    ['a server without the protocol', 'silent', ({ stream }: AskedCall) => respondStatus(stream, 12)],
    ['a server that fails', 'silent', ({ stream }: AskedCall) => respondStatus(stream, 13)],
    ['a server that does not answer', 'silent', () => {}],
  ] as const)
    it(`is read from its answer: ${what}`, async () => {
      const scratch = new Scratch();
      const path = join(scratch.path, 'model.sock');
      const client = new GrpcClient({ kind: 'unix', path }, systemTimers);
      afterTest(() => scratch.remove());
      const paths: string[] = [];
      await serveOnSocket(path, (call) => {
        paths.push(String(call.headers[':path']));
        answer(call);
      });
      const answered = await queryServerLife(client, life === 'silent' ? 300 : 5_000);
      client.close();
      assert.equal(answered, life);
      assert.deepEqual(paths, ['/inference.GRPCInferenceService/ServerLive']);
    });

  it('is not known of one that takes no connection', async () => {
    const scratch = new Scratch();
    afterTest(() => scratch.remove());
    const client = new GrpcClient({ kind: 'unix', path: join(scratch.path, 'none.sock') }, systemTimers);
    assert.equal(await queryServerLife(client, 5_000), 'silent');
  });
});
