import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { certificateToPem } from '../x509/pem.js';

export type CaKey = webcrypto.CryptoKey;

export interface KeyPair {
  readonly publicKey: CaKey;
  readonly privateKey: CaKey;
}

/**
 * The fields of a certificate, RFC 5280. Nothing is checked: tests build certificates that break
 * every rule.
 */
export interface CertificateSpec {
  /** Common name of the subject; RFC 5280 allows 64 characters, longer ones are cut. */
  readonly commonName: string;
  readonly issuerCommonName: string;
  readonly publicKey: CaKey;
  readonly signingKey: CaKey;
  /** Key identifier of the issuer; the same key as the subject's for a root. */
  readonly issuerPublicKey: CaKey;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly uris: readonly string[];
  readonly dnsNames?: readonly string[];
  readonly ca: boolean;
  readonly pathLength?: number;
  readonly usages: ReadonlyArray<'digitalSignature' | 'keyCertSign' | 'cRLSign' | 'keyEncipherment'>;
  /** Absent: no such extension. */
  readonly extendedUsages?: ReadonlyArray<'clientAuth' | 'serverAuth'>;
  readonly extra?: ReadonlyArray<{
    readonly oid: string;
    readonly critical: boolean;
    readonly der: Uint8Array;
  }>;
}

export interface IssuedCertificate {
  readonly der: Buffer;
  readonly pem: string;
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const MAX_COMMON_NAME = 64;

/** An ECDSA P-256 pair. Only keys that must be written somewhere should be extractable. */
export async function generateKeyPair(options: { readonly extractable: boolean }): Promise<KeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, options.extractable, ['sign', 'verify']);
}

/** PKCS #8 PEM of an extractable private key. */
export async function privateKeyToPem(key: CaKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN PRIVATE KEY-----\n${lines.join('\n')}\n-----END PRIVATE KEY-----\n`;
}

/**
 * Signs a certificate with ECDSA P-256 and SHA-256. What a correct one looks like is decided in
 * `local-ca.ts`.
 */
export async function issueCertificate(spec: CertificateSpec): Promise<IssuedCertificate> {
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: randomSerial(),
    subject: [{ CN: [spec.commonName.slice(0, MAX_COMMON_NAME)] }],
    issuer: [{ CN: [spec.issuerCommonName.slice(0, MAX_COMMON_NAME)] }],
    notBefore: new Date(spec.notBeforeMs),
    notAfter: new Date(spec.notAfterMs),
    signingAlgorithm: ALGORITHM,
    publicKey: spec.publicKey,
    signingKey: spec.signingKey,
    extensions: await extensions(spec),
  });
  const der = Buffer.from(certificate.rawData);
  return { der, pem: certificateToPem(der) };
}

async function extensions(spec: CertificateSpec): Promise<x509.Extension[]> {
  const list: x509.Extension[] = [
    new x509.BasicConstraintsExtension(spec.ca, spec.pathLength, true),
    new x509.KeyUsagesExtension(
      spec.usages.reduce((bits, usage) => bits | x509.KeyUsageFlags[usage], 0),
      true,
    ),
    await x509.SubjectKeyIdentifierExtension.create(spec.publicKey),
    await x509.AuthorityKeyIdentifierExtension.create(spec.issuerPublicKey),
  ];
  if (spec.extendedUsages)
    list.push(
      new x509.ExtendedKeyUsageExtension(spec.extendedUsages.map((usage) => x509.ExtendedKeyUsage[usage])),
    );
  const names = [
    ...spec.uris.map((value) => ({ type: 'url' as const, value })),
    ...(spec.dnsNames ?? []).map((value) => ({ type: 'dns' as const, value })),
  ];
  if (names.length > 0) list.push(new x509.SubjectAlternativeNameExtension(names));
  for (const { oid, critical, der } of spec.extra ?? []) list.push(new x509.Extension(oid, critical, der));
  return list;
}

/** 128 bits, positive, without a leading zero byte (RFC 5280 section 4.1.2.2). */
function randomSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes.toString('hex');
}
