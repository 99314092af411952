import assert from 'node:assert/strict';
import { injectCommand } from '../../../../sidecar/cli/deploy/inject.js';

describe('outrider inject', () => {
  const wrong: readonly (readonly [string, Parameters<typeof injectCommand>[1], RegExp])[] = [
    [
      'a namespace without --endpointslices',
      { as: 'native', endpointsIn: ['a'] },
      /^--endpoints-in: found without/,
    ],
    [
      'two sources of a certificate',
      { as: 'native', identitySecret: 'a', identityCsi: 'spiffe://a/b' },
      /^--identity-csi: found beside --identity-secret/,
    ],
    ['an issuer without an id', { as: 'native', issuer: 'a' }, /^--issuer: found without --identity-csi/],
    [
      'an id that is none',
      { as: 'native', identityCsi: 'web' },
      /^--identity-csi: found "web"; expected a SPIFFE id/,
    ],
    [
      'an issuer of an unknown kind',
      { as: 'native', identityCsi: 'spiffe://a/b', issuer: 'Other/a' },
      /^--issuer: found "Other\/a"; expected/,
    ],
    [
      'a time that is none',
      { as: 'native', gracePeriod: '1m' },
      /^--grace-period: found "1m"; expected whole/,
    ],
  ];
  for (const [what, flags, says] of wrong)
    it(`refuses ${what}`, () => {
      assert.throws(() => injectCommand('/no/such.yaml', flags), { exitCode: 2, message: says });
    });
});
