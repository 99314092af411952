/** Signatures of checkpoints: made with the key of a sidecar's certificate, checked with the certificate in the line. */
import { createPrivateKey, type KeyObject, sign, verify, X509Certificate } from 'node:crypto';

/** The key that signs, and its certificate with intermediates, leaf first; both PEM. */
export interface AuditSigner {
  readonly keyPem: string;
  readonly certChainPem: string;
}

/** The fields of a signed checkpoint. Throws for a key that cannot sign. */
export function signatureOf({ keyPem, certChainPem }: AuditSigner, text: string): Record<string, string> {
  const key = createPrivateKey(keyPem);
  const signature = sign(algorithmOf(key), Buffer.from(text), key).toString('base64');
  return { signature, certificate: certChainPem };
}

/** EdDSA has its hash in itself (RFC 8032). */
function algorithmOf({ asymmetricKeyType }: KeyObject): string | null {
  return asymmetricKeyType === 'ed25519' || asymmetricKeyType === 'ed448' ? null : 'sha256';
}

/** False too for what is no signature, and for a key of another kind. */
export function isSigned(text: string, { publicKey }: X509Certificate, signature: string): boolean {
  try {
    return verify(algorithmOf(publicKey), Buffer.from(text), publicKey, Buffer.from(signature, 'base64'));
  } catch {
    return false;
  }
}

/** The certificates of a PEM text, leaf first; none where one cannot be read. */
export function certificatesIn(pem: string): X509Certificate[] {
  const texts = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  try {
    return texts.map((text) => new X509Certificate(text));
  } catch {
    return [];
  }
}

/** Each certificate is issued by the next one, and one of them by a root. When each was valid is not asked: the log is a history. */
export function comesFrom(chain: readonly X509Certificate[], roots: readonly X509Certificate[]): boolean {
  const isIssuedBy = (issued: X509Certificate, issuer: X509Certificate): boolean =>
    issued.checkIssued(issuer) && issued.verify(issuer.publicKey);
  for (const [i, certificate] of chain.entries()) {
    if (roots.some((root) => isIssuedBy(certificate, root))) return true;
    const issuer = chain[i + 1];
    if (issuer === undefined || !isIssuedBy(certificate, issuer)) return false;
  }
  return false;
}

/** SPIFFE id of a certificate, or else its subject. */
export function nameOf({ subjectAltName, subject }: X509Certificate): string {
  return /URI:(spiffe:\/\/[^,\s]+)/.exec(subjectAltName ?? '')?.[1] ?? subject;
}
