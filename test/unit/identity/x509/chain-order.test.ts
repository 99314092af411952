import assert from 'node:assert/strict';
import { inIssuingOrder } from '../../../../sidecar/identity/x509/chain-order.js';
import { certificatesFromPem, certificateToPem } from '../../../../sidecar/identity/x509/pem.js';
import { TestAuthority } from '../../../kit/identity/certificates.js';

describe('The order of a chain', () => {
  let pem: string;
  let stranger: string;
  before(async () => {
    const root = await TestAuthority.root();
    const upper = await root.intermediate({ commonName: 'Upper' });
    const middle = await upper.intermediate({ commonName: 'Middle' });
    const lower = await middle.intermediate({ commonName: 'Lower' });
    pem = (await lower.leaf()).certChainPem;
    stranger = (await TestAuthority.root({ commonName: 'Stranger' })).pem;
  });

  const inOrder = (...order: readonly number[]): string => {
    const ders = certificatesFromPem(pem);
    return order.map((at) => certificateToPem(ders[at]!)).join('');
  };
  const namesOf = (text: string): string[] => certificatesFromPem(text).map((der) => certificateToPem(der));

  it('is that of issuing, however the file has it', () => {
    for (const order of [
      [0, 3, 2, 1],
      [0, 2, 1, 3],
      [0, 1, 3, 2],
    ])
      assert.deepEqual(namesOf(inIssuingOrder(inOrder(...order))), namesOf(pem));
  });

  it('has what issued none of them last', () => {
    const [leaf, ...above] = namesOf(pem);
    const mixed = [leaf, stranger, ...above.reverse()].join('');
    assert.deepEqual(namesOf(inIssuingOrder(mixed)), [...namesOf(pem), ...namesOf(stranger)]);
  });

  it('a chain that is in order stays as it is written, and so does what cannot be read', () => {
    const written = `subject=web\n${pem}\n# end\n`;
    assert.equal(inIssuingOrder(written), written);
    const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
    for (const text of [broken + broken, '']) assert.equal(inIssuingOrder(text), text);
  });
});
