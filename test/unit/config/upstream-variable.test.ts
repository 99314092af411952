import assert from 'node:assert/strict';
import { upstreamVariables, variableOf } from '../../../sidecar/config/upstream-variable.js';

describe('the variables that tell a model where it calls its upstreams', () => {
  it('are in upper case, with an underscore for what is no letter or digit', () => {
    assert.equal(variableOf('tokens'), 'OUTRIDER_UPSTREAM_TOKENS');
    assert.equal(variableOf('re-rank.v2_b'), 'OUTRIDER_UPSTREAM_RE_RANK_V2_B');
  });

  it('hold what a gRPC client dials, never the address of every interface', () => {
    const tcp = (host: string) => ({ kind: 'tcp', host, port: 9 }) as const;
    const addresses = {
      ...{ a: { kind: 'unix', path: '/run/a.sock' } as const, b: tcp('127.0.0.1'), c: tcp('0.0.0.0') },
      ...{ d: tcp('::'), e: tcp('10.0.0.7'), none: undefined },
    };
    assert.deepEqual(upstreamVariables(addresses), {
      OUTRIDER_UPSTREAM_A: 'unix:/run/a.sock',
      OUTRIDER_UPSTREAM_B: '127.0.0.1:9',
      OUTRIDER_UPSTREAM_C: '127.0.0.1:9',
      OUTRIDER_UPSTREAM_D: '[::1]:9',
      OUTRIDER_UPSTREAM_E: '10.0.0.7:9',
    });
  });
});
