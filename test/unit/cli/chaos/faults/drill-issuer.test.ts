import assert from 'node:assert/strict';
import { DrillIssuer } from '../../../../../sidecar/cli/chaos/faults/drill-issuer.js';
import { LocalCa } from '../../../../../sidecar/identity/ca/local-ca.js';

describe('the authority of a drill', () => {
  it('issues as it is asked to, for as long as it is told, and not at all while it is away', async () => {
    const nowMs = Date.UTC(2027, 0, 1);
    const ca = await LocalCa.create({
      trustDomain: 'local.outrider',
      datacenter: 'dc1',
      wallNow: () => nowMs,
    });
    const issuer = new DrillIssuer(ca);
    assert.equal((await issuer.issueLeaf('digits', 60_000)).notAfterMs, nowMs + 60_000);
    issuer.lifetimeMs = 4_000;
    assert.equal((await issuer.issueLeaf('digits', 60_000)).notAfterMs, nowMs + 4_000);
    issuer.isAway = true;
    await assert.rejects(issuer.issueLeaf('digits'), /the authority is away/);
  });
});
