/** PEM text to DER and back, for certificates only. Keys never pass through here. */

const BLOCK = /-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----/g;
const MAX_CERTIFICATES = 64;

/** Every certificate in the text, in order; other blocks and remarks between them are skipped. At most 64. */
export function certificatesFromPem(pem: string): Buffer[] {
  const found: Buffer[] = [];
  for (const match of pem.matchAll(BLOCK)) {
    if (found.length >= MAX_CERTIFICATES) break;
    found.push(Buffer.from(match[1]!, 'base64'));
  }
  return found;
}

export function certificateToPem(der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}
