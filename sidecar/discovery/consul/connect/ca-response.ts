import { isProblem } from '../../../identity/spiffe.js';
import { createPeerTrust } from '../../../identity/tls/peer-verification.js';
import { decodeJson, fieldIn, listIn, textIn } from '../parser/json-fields.js';

/** The roots of Connect's CA. */
export interface ConnectRoots {
  readonly trustDomain: string;
  /** All that are listed are trusted, in a rotation several; the active one first. */
  readonly rootsPem: string;
  /** Of the active root: an intermediate that signs leafs, or one that the root before it has signed. */
  readonly intermediatesPem: string;
  /** Roots left out, and why. */
  readonly refused: readonly string[];
}

/** The leaf certificate of a service, and its key. */
export interface ConnectLeaf {
  /** Leaf first, then what Consul put behind it. */
  readonly certPem: string;
  readonly keyPem: string;
}

/**
 * Reads `/v1/agent/connect/ca/roots`: the roots that can be used, the active one first. @throws Error that quotes
 * nothing of the answer; also when no root can be used.
 */
export function parseRootsAnswer(body: Buffer): ConnectRoots {
  const answer = decode(body, 'the roots');
  const trustDomain = textIn(answer, 'TrustDomain');
  if (trustDomain === '') throw new Error('the answer names no TrustDomain');
  const listed = listIn(answer, 'Roots');
  if (listed.length === 0) throw new Error('the answer lists no Roots');
  const active = textIn(answer, 'ActiveRootID');
  const isActive = (root: unknown): boolean =>
    active === '' ? fieldIn(root, 'Active') === true : textIn(root, 'ID') === active;
  const good: string[] = [];
  const refused: string[] = [];
  for (const root of [...listed.filter(isActive), ...listed.filter((each) => !isActive(each))]) {
    const pem = textIn(root, 'RootCert');
    const trust = createPeerTrust(trustDomain, pem);
    if (isProblem(trust)) refused.push(trust.problem);
    else good.push(endLine(pem));
  }
  if (good.length === 0) throw new Error(`no root is usable: ${refused[0]}`);
  const intermediates = listIn(listed.find(isActive), 'IntermediateCerts');
  const intermediatesPem = intermediates.filter((pem) => typeof pem === 'string').map(endLine);
  return { trustDomain, rootsPem: good.join(''), intermediatesPem: intermediatesPem.join(''), refused };
}

/**
 * Reads `/v1/agent/connect/ca/leaf/<service>`: certificate and key, whose chain is verified in identity.ts together with
 * the roots. @throws Error that quotes nothing of the answer, which holds a key.
 */
export function parseLeafAnswer(body: Buffer): ConnectLeaf {
  const answer = decode(body, 'the leaf');
  const certPem = textIn(answer, 'CertPEM');
  const keyPem = textIn(answer, 'PrivateKeyPEM');
  if (certPem === '') throw new Error('the answer has no CertPEM');
  if (keyPem === '') throw new Error('the answer has no PrivateKeyPEM');
  return { certPem: endLine(certPem), keyPem };
}

/** Roots from the cache; undefined where their shape is wrong. They were verified before they were saved. */
export function cachedRoots(kept: unknown): ConnectRoots | undefined {
  const roots = kept as Partial<ConnectRoots> | null | undefined;
  const texts = [roots?.trustDomain, roots?.rootsPem, roots?.intermediatesPem];
  if (!texts.every((text) => typeof text === 'string')) return undefined;
  return { ...roots, refused: [] } as unknown as ConnectRoots;
}

/** A leaf from the cache; undefined where its shape is wrong. */
export function cachedLeaf(kept: unknown): ConnectLeaf | undefined {
  const leaf = kept as Partial<ConnectLeaf> | null | undefined;
  if (typeof leaf?.certPem !== 'string' || typeof leaf.keyPem !== 'string') return undefined;
  return { certPem: leaf.certPem, keyPem: leaf.keyPem };
}

/** The body of an answer as JSON. @param what names the answer in the error */
function decode(body: Buffer, what: string): unknown {
  return decodeJson(body.toString('utf8'), `${what}: the answer is not JSON (${body.length} bytes)`);
}

/** PEM blocks are joined as text, so that each has to end with a line feed. */
function endLine(pem: string): string {
  return pem.endsWith('\n') ? pem : `${pem}\n`;
}
