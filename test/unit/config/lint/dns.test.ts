import assert from 'node:assert/strict';
import { IDENTITY, sidecarWarnings } from '../../../kit/config/problems-of.js';

describe('warnings about DNS names', () => {
  const warningsFor = (name: string): string[] =>
    sidecarWarnings(
      `${IDENTITY}\noutbound: {upstreams: {u: {listen: "127.0.0.1:1", dns: {name: ${name}, port: 1}}}}`,
    );

  it('are of those that only a search list completes', () => {
    for (const name of ['digits', 'digits.models.svc']) {
      const [warning, ...others] = warningsFor(name);
      assert.match(warning!, /outbound\.upstreams\.u\.dns\.name: digits.* is probably not the whole name/);
      assert.deepEqual(others, []);
    }
  });

  it('are of no whole name', () => {
    for (const name of ['digits.models.svc.cluster.local', 'digits.internal', 'digits.'])
      assert.deepEqual(warningsFor(name), []);
  });
});
