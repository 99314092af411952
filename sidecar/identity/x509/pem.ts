import { attempt } from '../../runtime/attempt.js';
import { DerReader, Tag } from './der.js';

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

/**
 * The certificates that lie one behind the other in `bytes`, in DER; views, not copies. Undefined: these bytes are none, or more than 64.
 */
export function certificatesFromDer(bytes: Uint8Array): Uint8Array[] | undefined {
  return attempt(() => {
    const reader = new DerReader(bytes);
    const found: Uint8Array[] = [];
    while (!reader.done && found.length < MAX_CERTIFICATES) found.push(reader.whole(Tag.sequence));
    return reader.done && found.length > 0 ? found : undefined;
  }, undefined);
}

export function certificateToPem(der: Uint8Array): string {
  return toPem('CERTIFICATE', der);
}

/** A key in PKCS#8. */
export function privateKeyDerToPem(der: Uint8Array): string {
  return toPem('PRIVATE KEY', der);
}

function toPem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
