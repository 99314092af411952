const BLOCK = /-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----/g;
const MAX_CERTIFICATES = 64;

/**
 * DER of every certificate in a PEM text, in order, at most 64. Other blocks and text between them
 * are skipped.
 */
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
