/** A model that answers with long errors, or with much metadata, is healthy: one bad input is no reason to eject its replica. */
import assert from 'node:assert/strict';
import { Setting } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { countBy, resultOf } from '../../kit/scenario/counts.js';
import { Mesh } from '../../kit/scenario/mesh-in-memory.js';
import type { Application } from '../../kit/stack/stack.js';

const LONG = 'Traceback: '.repeat(2000);
/** At each replica more than the faults in a row that eject. */
const ANSWERS = 30;

describe('Scenario: long errors and much metadata', () => {
  for (const [caller, settings, results] of [
    ['a client that names no limit', [], { 5: ANSWERS, yes: ANSWERS }],
    [
      'a client that accepts 8 KiB',
      [[Setting.maxHeaderListSize, 8192]],
      { 5: ANSWERS, '8 metadata-too-large': ANSWERS },
    ],
  ] as const)
    it(`of ${caller} eject no replica`, () => {
      const mesh = new Mesh({ replicas: 3, balance: 'round-robin' });
      const { stack } = mesh;
      let isError = true;
      for (const { model } of mesh.replicas)
        model.answer = (stream: PeerStream) =>
          void (isError
            ? stream.fail(5, [['grpc-message', LONG]])
            : stream
                .begin([['x-much', LONG]])
                .data(Buffer.from('yes'))
                .trailers(0));
      const app: Application = stack.app(mesh.out.listener, undefined, { settings });
      const calls: PeerStream[] = [];
      for (let n = 0; n < 2 * ANSWERS; n++) {
        isError = n < ANSWERS;
        calls.push(app.call());
        mesh.advance(20);
      }
      assert.deepEqual(countBy(calls, resultOf), results);
      for (const { ejection, outcomes } of mesh.out.cluster.endpoints) {
        assert.equal(ejection.count, 0);
        assert.equal(outcomes[1], 0, 'faults');
      }
      mesh.close();
    });
});
