import { X509Certificate } from 'node:crypto';
import { attempt } from '../../runtime/attempt.js';
import { certificatesFromPem, certificateToPem } from './pem.js';

/**
 * A chain in PEM as TLS asks for it: the leaf, then each certificate before the one that issued it (RFC 8446 section 4.4.2); what
 * issued none of them comes last. Peers need not find another order: Node, and so every sidecar, loses certificates of it, and
 * refuses a leaf whose issuer is among them. A chain that is in order, or cannot be read, is returned as it is.
 */
export function inIssuingOrder(pem: string): string {
  const ders = certificatesFromPem(pem);
  const ordered = attempt(() => ordersOf(ders), ders);
  return ordered.every((der, i) => der === ders[i]) ? pem : ordered.map(certificateToPem).join('');
}

function ordersOf([leaf, ...above]: readonly Buffer[]): Buffer[] {
  if (leaf === undefined) return [];
  const ordered = [{ der: leaf, x509: new X509Certificate(leaf) }];
  let left = above.map((der) => ({ der, x509: new X509Certificate(der) }));
  for (let at = 0; at < ordered.length && left.length > 0; at++) {
    const child = ordered[at]!.x509;
    ordered.push(...left.filter(({ x509 }) => child.checkIssued(x509)));
    left = left.filter(({ x509 }) => !child.checkIssued(x509));
  }
  return [...ordered, ...left].map(({ der }) => der);
}
