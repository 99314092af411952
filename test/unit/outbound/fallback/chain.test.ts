import assert from 'node:assert/strict';
import type { FallbackConfig } from '../../../../sidecar/config/model.js';
import { LocalReplyReasons } from '../../../../sidecar/core/outcome/local-reply-reason.js';
import { Status } from '../../../../sidecar/core/outcome/status.js';
import { FALLBACK_STEPS } from '../../../../sidecar/outbound/fallback/chain.js';
import { type FallbackStep, markDegraded } from '../../../../sidecar/outbound/fallback/step.js';
import { Next } from '../../../../sidecar/relay/next.js';
import { sendLocalReply } from '../../../../sidecar/relay/response.js';
import type { PeerStream } from '../../../kit/http2/scripted-peer.js';
import { UpstreamStack } from '../../../kit/scenario/upstream-stack.js';
import { aRoute } from '../../../kit/stack/stack.js';

/** What a new kind of step takes: its function, and its line in the table. */
type Toy = { readonly kind: 'toy'; readonly words: string };
const apologise: FallbackStep<Toy> = (call, fallback, { words }) => {
  if (words === '') return Next.continue;
  markDegraded(call, fallback, 'toy');
  sendLocalReply(call, { reason: LocalReplyReasons.unknownRoute, message: words, metadata: null });
  return Next.handled;
};
const table = FALLBACK_STEPS as unknown as Record<string, FallbackStep<never>>;
const toy = (words: string): FallbackConfig => ({ kind: 'toy', words }) as unknown as FallbackConfig;

describe('The steps of a fallback chain', () => {
  before(() => {
    table['toy'] = apologise;
  });
  after(() => delete table['toy']);

  /** The end of a call whose endpoint fails. */
  const end = (fallback: readonly FallbackConfig[]): PeerStream => {
    const stack = new UpstreamStack(['a'], { routes: [aRoute({ fallback })] });
    stack.answers((stream) => void stream.fail(Status.UNAVAILABLE, [['grpc-message', 'broken']]));
    return stack.call();
  };

  it('a new kind of step answers the calls of a route that names it', () => {
    const stream = end([toy('sorry')]);
    assert.deepEqual([stream.status, stream.trailer('grpc-message')], [Status.UNIMPLEMENTED, 'sorry']);
  });

  it('a step that cannot serve a call leaves it to the next one', () => {
    assert.equal(end([toy(''), toy('second')]).trailer('grpc-message'), 'second');
  });

  it('the failure of the primary is the answer when no step can serve the call', () => {
    const stream = end([toy(''), { kind: 'upstream', upstream: 'missing' }]);
    assert.deepEqual([stream.status, stream.trailer('grpc-message')], [Status.UNAVAILABLE, 'broken']);
  });
});
