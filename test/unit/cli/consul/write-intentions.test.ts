import assert from 'node:assert/strict';
import { intentionsToWrite } from '../../../../sidecar/cli/consul/write-intentions.js';

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

  it('say one thing about a pair, and deny wins', () => {
    const intentions = [allow('a', 'b'), deny('a', 'b'), allow('a', 'b')];
    assert.deepEqual(intentionsToWrite({ intentions, defaultIntention: 'allow' }), [deny('a', 'b')]);
  });
});
