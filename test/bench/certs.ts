/** Certificates for the mutual-TLS pair: one root, and a SPIFFE leaf each for `caller` and `echo`, as PEM files. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LocalCa } from '../../sidecar/identity/ca/local-ca.js';
import { scratch } from './subjects/subject.js';

const LIFETIME_MS = 24 * 3_600_000;

/** Writes the certificates; resolves with their folder. */
export async function writeCertificates(): Promise<string> {
  const dir = scratch();
  const ca = await LocalCa.create({ trustDomain: 'outrider.local', datacenter: 'dc1', wallNow: Date.now });
  for (const service of ['caller', 'echo']) {
    const leaf = await ca.issueLeaf(service, LIFETIME_MS);
    writeFileSync(join(dir, `${service}.crt`), leaf.certChainPem);
    writeFileSync(join(dir, `${service}.key`), leaf.keyPem, { mode: 0o600 });
  }
  writeFileSync(join(dir, 'roots.crt'), ca.rootsPem);
  return dir;
}
