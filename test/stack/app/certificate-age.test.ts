/** What a sidecar says of a certificate that nobody renews, from its files to `/ready`. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { statusOf } from '../../../sidecar/admin/status.js';
import { TestAuthority, TRUST_DOMAIN } from '../../kit/identity/certificates.js';
import { scratchForEach } from '../../kit/mocha/scratch.js';
import { aConfig, SidecarInMemory, upstreamAt } from '../../kit/stack/sidecar-in-memory.js';

const HOUR_MS = 3_600_000;

describe('A sidecar whose certificate is not renewed', () => {
  const scratch = scratchForEach();
  let bench: SidecarInMemory;
  beforeEach(() => {
    bench = new SidecarInMemory();
  });
  afterEach(() => bench.close());

  it('stays ready in the last fifth of its life and says so elsewhere, and is not ready once it has expired', async () => {
    const { clock } = bench;
    const root = await TestAuthority.root({
      notBeforeMs: clock.wallNow(),
      notAfterMs: clock.wallNow() + 99 * HOUR_MS,
    });
    const times = { notBeforeMs: clock.wallNow(), notAfterMs: clock.wallNow() + 10 * HOUR_MS };
    const leaf = await root.leaf({ service: 'digits', ...times });
    scratch.write('cert.pem', leaf.certChainPem);
    writeFileSync(join(scratch.path, 'key.pem'), leaf.keyPem, { mode: 0o600 });
    scratch.write('roots.pem', leaf.rootsPem);
    const path = (name: string) => join(scratch.path, name);
    const identity = {
      kind: 'files',
      cert: path('cert.pem'),
      key: path('key.pem'),
      roots: path('roots.pem'),
    } as const;
    const { address } = await bench.server('one');
    const { view } = await bench.sidecar(
      aConfig({
        identity,
        trustDomain: TRUST_DOMAIN,
        outbound: { upstreams: [upstreamAt(address, 'one', { tls: 'plaintext' })] },
      }),
    );
    const own = () => view.notReady().filter((each) => each.startsWith('identity'));
    const warning = () => statusOf(view).certificateWarning;
    assert.deepEqual([own(), warning()], [[], undefined]);
    clock.advance(9 * HOUR_MS);
    assert.deepEqual(own(), [], 'all replicas reach this age together');
    assert.match(warning()!, /^our certificate expires in 3600 s; its files hold no new one$/);
    clock.advance(1.1 * HOUR_MS);
    assert.match(own().join(), /^identity: our certificate expired at .*; its files hold no new one$/);
    assert.equal(warning(), undefined);
  });
});
