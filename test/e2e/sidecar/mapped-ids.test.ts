/** Sidecars with certificates as SPIRE issues them by default, whose ids name service accounts and no services. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeAddress } from '../../../sidecar/config/codecs/address.js';
import { Load } from '../../drills/faults/load.js';
import { Model } from '../../drills/faults/model.js';
import { TestAuthority } from '../../kit/identity/certificates.js';
import { until } from '../../kit/process/processes.js';
import { SidecarBench, type SidecarProcess } from '../../kit/process/sidecars.js';

const DOMAIN = 'spiffe://mesh.example';
/** What the operator has written down, in every file. */
const IDS = { [`${DOMAIN}/ns/ml/sa/digits`]: 'digits', [`${DOMAIN}/ns/web/sa/*`]: 'web' };

describe('Mapped SPIFFE ids', function () {
  this.timeout(60_000);
  let bench: SidecarBench;
  let authority: TestAuthority;
  let model: Model;
  let digits: SidecarProcess;

  before(async () => {
    bench = await SidecarBench.open();
    authority = await TestAuthority.root({ uris: [DOMAIN] });
    model = await Model.start({ serviceMs: 1 });
    digits = await bench.start('digits', {
      ...(await identified('digits', '/ns/ml/sa/digits')),
      inbound: {
        listen: '127.0.0.1:0',
        local: model.address,
        intentions: [{ from: 'web', to: 'digits', action: 'allow' }],
      },
    });
    await digits.ready();
  });

  after(async () => {
    await bench?.close();
    model?.kill();
  });

  /** The block for a service whose certificate has this path, with the usages of SPIRE's. */
  async function identified(service: string, path: string, ids: object = IDS) {
    const { certChainPem, keyPem, rootsPem } = await authority.leaf({
      uris: [`${DOMAIN}${path}`],
      usages: ['digitalSignature', 'keyEncipherment'],
    });
    const file = (kind: string, content: string): string => {
      const where = join(bench.directory, `${path.replaceAll('/', '-')}-${kind}.pem`);
      writeFileSync(where, content, { mode: 0o600 });
      return where;
    };
    const paths = {
      cert: file('cert', certChainPem),
      key: file('key', keyPem),
      roots: file('roots', rootsPem),
    };
    return { service, trust_domain: 'mesh.example', identity: { ...paths, ids } };
  }

  /** A caller's sidecar with this id, and the address at which it calls `digits`. */
  async function caller(name: string, path: string, ids: object = IDS) {
    const endpoints = [writeAddress(digits.address('inbound'))];
    const sidecar = await bench.start(name, {
      ...(await identified('web', path, ids)),
      outbound: { upstreams: { digits: { listen: '127.0.0.1:0', endpoints } } },
    });
    return { sidecar, target: writeAddress(sidecar.address('upstream digits')) };
  }

  const refused = (reason: string) => digits.metric('outrider_handshake_failures_total', { reason });

  it('calls go from one to the other, each of whose certificates only the map knows', async () => {
    const { sidecar, target } = await caller('web', '/ns/web/sa/frontend');
    await sidecar.ready();
    const load = await Load.start({ target, perSecond: 50, deadlineMs: 5_000 });
    await until('some calls', () => load.sent > 20);
    const calls = await load.between(0);
    await load.stop();
    assert.equal(calls.find(({ failure }) => failure !== undefined)?.failure, undefined);
  });

  it('a caller whose id is not in the map of the server is refused, and the reason counted', async () => {
    const own = { ...IDS, [`${DOMAIN}/ns/evil/sa/web`]: 'web' };
    const { sidecar } = await caller('evil', '/ns/evil/sa/web', own);
    await until('it is refused', async () => (await refused('unmapped-id')) > 0);
    assert.notEqual((await sidecar.page('/ready')).status, 200);
  });

  it('a server whose id the map gives to another service is refused by its caller', async () => {
    const own = { ...IDS, [`${DOMAIN}/ns/ml/sa/digits`]: 'ocr' };
    const { sidecar } = await caller('mistaken', '/ns/web/sa/other', own);
    const reason = { reason: 'wrong-service' };
    await until(
      'it is refused',
      async () => (await sidecar.metric('outrider_handshake_failures_total', reason)) > 0,
    );
  });

  it('a sidecar whose own id is not in its map does not start', async () => {
    const file = await identified('web', '/ns/web/sa/alone', { [`${DOMAIN}/ns/ml/sa/digits`]: 'digits' });
    const outbound = { upstreams: { digits: { listen: '127.0.0.1:0', endpoints: ['127.0.0.1:9'] } } };
    await assert.rejects(
      bench.start('alone', { ...file, outbound }),
      /identity.ids has no entry for it \(unmapped-id\)/,
    );
  });
});
