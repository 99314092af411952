/** The sidecar of an engine tells callers what the engine runs, in the headers of its answers. */
import assert from 'node:assert/strict';
import {
  aGenerateRequest,
  framedRequest,
  GENERATE,
  messagesFor,
  requestIn,
} from '../../kit/engines/scripted-engine.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { ModelStack } from '../../kit/stack/model-stack.js';
import { aStreamRoute, type CallOptions, type InboundOptions } from '../../kit/stack/stack.js';

const KEY = 'outrider-engine-model';

describe('The sidecar of an engine says what it runs', () => {
  let stack: ModelStack;

  const start = (engineModel: string, over: InboundOptions = {}): void => {
    stack = new ModelStack(
      { engine: 'vllm', routes: [aStreamRoute()], queue: { concurrency: 1 }, ...over },
      { engineModel },
    );
  };
  const ASKS = [['outrider-accept-engine-model', '1']] as const;
  const call = (path = GENERATE, metadata: CallOptions['metadata'] = ASKS): PeerStream =>
    stack.call({ path, metadata, body: framedRequest(aGenerateRequest()) });
  const finish = (says?: string): void => {
    const engine = stack.requests.at(-1)!;
    stack.settle(
      engine
        .begin(says === undefined ? [] : [[KEY, says]])
        .data(Buffer.concat(messagesFor(requestIn(engine.body), () => 4)))
        .trailers(0),
    );
  };
  const said = ({ lists }: PeerStream): string[] =>
    lists.flat().flatMap(([name, value]) => (name === KEY ? [value] : []));

  it('with an answer, also one that has waited', () => {
    start('llama@5');
    const [first, waiting] = [call(), call()];
    stack.advance(50);
    finish();
    finish();
    assert.deepEqual([first.status, waiting.status], [0, 0]);
    for (const each of [first, waiting]) assert.equal(each.header(KEY), 'llama@5');
    assert.notEqual(waiting.header('outrider-queue-ms'), undefined);
  });

  it('not to a sidecar that would pass it on to its client, and does not ask', () => {
    start('llama@5');
    const older = call(GENERATE, []);
    finish();
    assert.deepEqual([older.status, said(older)], [0, []]);
  });

  it('and does not tell the engine who asks', () => {
    start('llama@5');
    call();
    assert.equal(stack.requests.at(-1)!.header(ASKS[0][0]), undefined);
    finish();
  });

  it('and the engine cannot', () => {
    start('llama@5');
    const answered = call();
    finish('made up');
    assert.deepEqual(said(answered), ['llama@5']);
    start('');
    const unsaid = call();
    finish('made up');
    assert.deepEqual(said(unsaid), []);
  });

  it('not with other calls', () => {
    start('llama@5');
    const other = call('/vllm.grpc.engine.VllmEngine/Embed');
    finish();
    assert.deepEqual([other.status, said(other)], [0, []]);
  });
});
