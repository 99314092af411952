/**
 * Whatever a model answers arrives as it was said: through two sidecars no status becomes another one, neither alone,
 * nor in trailers after headers, nor after messages of a stream.
 */
import assert from 'node:assert/strict';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { Mesh } from '../../kit/scenario/mesh-in-memory.js';
import { aRoute, aStreamRoute } from '../../kit/stack/stack.js';

const SAID = Buffer.from('half of it');
const MESSAGE: readonly [string, string] = ['grpc-message', 'as the model said'];

const WAYS: Readonly<Record<string, (stream: PeerStream, status: number) => void>> = {
  'in trailers alone': (stream, status) => stream.fail(status, [MESSAGE]),
  'after headers': (stream, status) => stream.begin().trailers(status, [MESSAGE]),
  'after a message': (stream, status) => stream.begin().data(SAID).trailers(status, [MESSAGE]),
};

describe('Scenario: a status passes', () => {
  for (const [kind, route] of [
    ['unary', aRoute()],
    ['streaming', aStreamRoute()],
  ] as const) {
    for (const [way, answer] of Object.entries(WAYS)) {
      it(`${way}, ${kind}: each of the sixteen, with its message and without a word of ours`, () => {
        const mesh = new Mesh({ routes: [route] });
        for (let status = 1; status <= 16; status++) {
          for (const { model } of mesh.replicas) model.answer = (stream) => answer(stream, status);
          const call = mesh.call();
          mesh.advance(10);
          assert.deepEqual(
            [call.status, call.trailer('grpc-message'), call.reason, call.body.toString()],
            [status, MESSAGE[1], undefined, way === 'after a message' ? SAID.toString() : ''],
          );
          // A quiet while, so that no detector has its part in it.
          mesh.advance(15_000);
        }
        mesh.stack.assertIdle();
      });
    }
  }
});
