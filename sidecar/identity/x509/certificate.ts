import type { IdentityProblem } from '../spiffe.js';
import {
  DerError,
  DerReader,
  readAscii,
  readBoolean,
  readNamedBits,
  readOid,
  readSmallInteger,
  readTime,
  Tag,
} from './der.js';

/** Bits of `keyUsage`, RFC 5280 section 4.2.1.3. */
export const KeyUsage = { digitalSignature: 1 << 0, keyCertSign: 1 << 5, crlSign: 1 << 6 } as const;

/** Object identifiers of `extKeyUsage`, RFC 5280 section 4.2.1.12. */
export const ExtendedKeyUsage = {
  any: '2.5.29.37.0',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const;

/**
 * The fields of a certificate that the SPIFFE rules are about; Node exposes neither key usage nor
 * SANs as a list.
 */
export interface CertificateFacts {
  /** Lower-case hex, without leading zero bytes. */
  readonly serial: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly uris: readonly string[];
  readonly isCa: boolean;
  /** Most intermediates below this CA; undefined: no bound. */
  readonly pathLength: number | undefined;
  /** Bits of `KeyUsage`; undefined when the extension is absent. */
  readonly keyUsage: number | undefined;
  readonly extendedKeyUsages: readonly string[] | undefined;
  /** Hosts of the URI subtrees of nameConstraints (RFC 5280 section 4.2.1.10). */
  readonly uriConstraints: { readonly permitted: readonly string[]; readonly excluded: readonly string[] };
  /**
   * Critical extensions that are not read here; RFC 5280 section 4.2 requires that such a
   * certificate is refused.
   */
  readonly unknownCritical: readonly string[];
}

const MAX_CERTIFICATE_BYTES = 64 * 1024;
const MAX_ITEMS = 256;

const Oid = {
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  certificatePolicies: '2.5.29.32',
  extendedKeyUsage: '2.5.29.37',
} as const;

const CONTEXT_0 = 0xa0;
const CONTEXT_1 = 0xa1;
const CONTEXT_3 = 0xa3;
/** GeneralName uniformResourceIdentifier, `[6] IA5String`. */
const NAME_URI = 0x86;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Reads one certificate in DER, at most 64 KiB, in one pass. Never throws; decides nothing. */
export function readCertificate(der: Uint8Array): CertificateFacts | IdentityProblem {
  if (der.length > MAX_CERTIFICATE_BYTES) return { problem: `larger than ${MAX_CERTIFICATE_BYTES} bytes` };
  try {
    return read(der);
  } catch (error) {
    return { problem: error instanceof DerError ? error.message : 'unreadable' };
  }
}

function read(der: Uint8Array): CertificateFacts {
  const outer = new DerReader(der);
  const certificate = outer.enter(Tag.sequence);
  outer.finish();
  const body = certificate.enter(Tag.sequence);
  certificate.enter(Tag.sequence); // signatureAlgorithm
  certificate.enter(Tag.bitString); // signature: checked by OpenSSL and chain.ts
  certificate.finish();

  if (body.peek() !== CONTEXT_0) throw new DerError('not version 3');
  const versionField = body.enter(CONTEXT_0);
  if (readSmallInteger(versionField.enter(Tag.integer)) !== 2) throw new DerError('not version 3');
  const serial = readSerial(body.enter(Tag.integer));
  body.enter(Tag.sequence); // signature algorithm
  body.enter(Tag.sequence); // issuer
  const validity = body.enter(Tag.sequence);
  const notBeforeMs = readTime(validity.next());
  const notAfterMs = readTime(validity.next());
  validity.finish();
  body.enter(Tag.sequence); // subject
  body.enter(Tag.sequence); // subjectPublicKeyInfo
  while (!body.done && body.peek() !== CONTEXT_3) body.next(); // unique identifiers

  const facts: Mutable<CertificateFacts> = {
    serial,
    notBeforeMs,
    notAfterMs,
    uris: [],
    isCa: false,
    pathLength: undefined,
    keyUsage: undefined,
    extendedKeyUsages: undefined,
    uriConstraints: { permitted: [], excluded: [] },
    unknownCritical: [],
  };
  if (!body.done) {
    const explicit = body.enter(CONTEXT_3);
    readExtensions(explicit.enter(Tag.sequence), facts);
    explicit.finish();
  }
  body.finish();
  return facts;
}

function readSerial(content: DerReader): string {
  const bytes = content.rest();
  if (bytes.length === 0 || bytes.length > 64) throw new DerError('bad serial');
  const hex = Buffer.from(bytes).toString('hex');
  return hex.replace(/^(?:00)+(?=.)/, '');
}

function readExtensions(list: DerReader, facts: Mutable<CertificateFacts>): void {
  const seen = new Set<string>();
  const unknown: string[] = [];
  while (!list.done) {
    const extension = list.enter(Tag.sequence);
    const oid = readOid(extension.enter(Tag.oid));
    const critical = extension.peek() === Tag.boolean ? readBoolean(extension.enter(Tag.boolean)) : false;
    const value = extension.enter(Tag.byteString);
    extension.finish();
    if (seen.has(oid)) throw new DerError(`extension ${oid} twice`);
    seen.add(oid);
    if (seen.size > MAX_ITEMS) throw new DerError('too many extensions');
    if (!readExtension(oid, value, facts) && critical) unknown.push(oid);
  }
  facts.unknownCritical = unknown;
}

/** Returns false for an extension this reader does not know. */
function readExtension(oid: string, value: DerReader, facts: Mutable<CertificateFacts>): boolean {
  switch (oid) {
    case Oid.basicConstraints:
      readBasicConstraints(value.enter(Tag.sequence), facts);
      break;
    case Oid.keyUsage:
      facts.keyUsage = readNamedBits(value.enter(Tag.bitString));
      break;
    case Oid.extendedKeyUsage:
      facts.extendedKeyUsages = readList(value.enter(Tag.sequence), (item) => readOid(item.enter(Tag.oid)));
      break;
    case Oid.subjectAltName:
      facts.uris = readUris(value.enter(Tag.sequence));
      break;
    case Oid.nameConstraints:
      facts.uriConstraints = readNameConstraints(value.enter(Tag.sequence));
      break;
    case Oid.certificatePolicies:
      // Policies narrow nothing here: no policy is required of a path (RFC 5280 section 6.1.1, any-policy).
      return true;
    default:
      return false;
  }
  value.finish();
  return true;
}

function readBasicConstraints(sequence: DerReader, facts: Mutable<CertificateFacts>): void {
  if (sequence.peek() === Tag.boolean) facts.isCa = readBoolean(sequence.enter(Tag.boolean));
  if (sequence.peek() === Tag.integer) facts.pathLength = readSmallInteger(sequence.enter(Tag.integer));
  sequence.finish();
}

function readList<T>(list: DerReader, item: (reader: DerReader) => T): T[] {
  const items: T[] = [];
  while (!list.done) {
    if (items.length >= MAX_ITEMS) throw new DerError('too many items');
    items.push(item(list));
  }
  return items;
}

function readUris(names: DerReader): string[] {
  const uris = readList(names, (reader) => {
    const name = reader.next();
    return name.tag === NAME_URI ? readAscii(name.content) : undefined;
  });
  return uris.filter((uri) => uri !== undefined);
}

function readNameConstraints(sequence: DerReader): CertificateFacts['uriConstraints'] {
  const permitted = sequence.peek() === CONTEXT_0 ? readSubtrees(sequence.enter(CONTEXT_0)) : [];
  const excluded = sequence.peek() === CONTEXT_1 ? readSubtrees(sequence.enter(CONTEXT_1)) : [];
  sequence.finish();
  return { permitted, excluded };
}

function readSubtrees(list: DerReader): string[] {
  const hosts = readList(list, (reader) => {
    const base = reader.enter(Tag.sequence).next();
    return base.tag === NAME_URI ? readAscii(base.content).toLowerCase() : undefined;
  });
  return hosts.filter((host) => host !== undefined);
}
