import assert from 'node:assert/strict';
import type { AgentApi } from '../../../../sidecar/cli/consul/agent-api.js';
import { intentionsToWrite, writeIntentions } from '../../../../sidecar/cli/consul/write-intentions.js';

describe('intentions of a mesh file in Consul', () => {
  const allow = (from: string, to: string) => ({ from, to, action: 'allow' }) as const;
  const deny = (from: string, to: string) => ({ from, to, action: 'deny' }) as const;

  it('get one for all services when the file denies by default', () => {
    const intentions = [allow('client', 'digits')];
    assert.deepEqual(intentionsToWrite({ intentions, defaultIntention: 'deny' }), [
      allow('client', 'digits'),
      deny('*', '*'),
    ]);
    assert.deepEqual(intentionsToWrite({ intentions, defaultIntention: 'allow' }), intentions);
  });

  it('keep what the file itself says about all services', () => {
    const intentions = [allow('*', '*'), deny('client', 'digits')];
    assert.deepEqual(intentionsToWrite({ intentions, defaultIntention: 'deny' }), intentions);
  });

  it('are not written where one is about some models: there it would allow all of them', async () => {
    const asked: unknown[] = [];
    const api = { post: (...args: unknown[]) => asked.push(args) } as unknown as AgentApi;
    const intentions = [allow('a', 'b'), { ...allow('client', 'digits'), models: ['digits'] }];
    await assert.rejects(
      writeIntentions(api, { intentions, defaultIntention: 'deny' }),
      /^CommandFailure: the intention client → digits allows some models only, which Consul cannot say; /,
    );
    assert.deepEqual(asked, []);
  });

  it('say one thing about a pair, and deny wins', () => {
    const intentions = [allow('a', 'b'), deny('a', 'b'), allow('a', 'b')];
    assert.deepEqual(intentionsToWrite({ intentions, defaultIntention: 'allow' }), [deny('a', 'b')]);
  });
});
