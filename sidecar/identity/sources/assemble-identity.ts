import { createPrivateKey, type KeyObject } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { attempt } from '../../runtime/attempt.js';
import { allRootsPem, type Identity, type IdentityParts } from '../identity.js';
import type { MappedIds } from '../mapped-ids.js';
import { type IdentityProblem, isProblem } from '../spiffe.js';
import { createPeerTrust, verifyPeer } from '../tls/peer-verification.js';
import { parseCertificate } from '../x509/chain.js';
import { inIssuingOrder } from '../x509/chain-order.js';
import { certificatesFromPem } from '../x509/pem.js';

/**
 * Checks that three PEM texts make an identity that peers of the trust domain accept: the roots are
 * of that domain, the key belongs to the leaf, OpenSSL accepts both, and the chain passes the
 * verification that peers run (`verifyPeer`).
 *
 * @param expected.service the service that the leaf has to name. @param expected.ids the services of ids that name none.
 */
export function assembleIdentity(
  parts: IdentityParts,
  expected: { readonly trustDomain: string; readonly service: string; readonly ids?: MappedIds | undefined },
  wallNowMs: number,
): Identity | IdentityProblem {
  const trust = createPeerTrust(expected.trustDomain, parts.rootsPem, { ...parts, ...expected });
  if (isProblem(trust)) return { problem: `roots: ${trust.problem}` };
  const [leafDer, ...chainDer] = certificatesFromPem(parts.certChainPem);
  if (!leafDer) return { problem: 'certificate: no certificate found; expected PEM' };
  const leaf = parseCertificate(leafDer);
  if (isProblem(leaf)) return { problem: `certificate: ${leaf.problem}` };
  const { facts, x509 } = leaf;
  const key = readKey(parts.keyPem);
  if (isProblem(key)) return key;
  if (!attempt(() => x509.checkPrivateKey(key), false))
    return { problem: 'key: does not belong to the certificate' };
  const refusal = refusedByOpenSsl(parts);
  if (refusal) return refusal;
  // Federated roots are for peers. An identity of another domain would also change the domain that peers are checked against.
  const ownDomain = { ...trust, federated: undefined };
  const own = verifyPeer({ leafDer, chainDer }, ownDomain, wallNowMs, expected.service);
  if (own.kind === 'rejected') return { problem: `certificate: ${own.detail} (${own.reason})` };
  return {
    id: own.id,
    ...(expected.ids === undefined ? {} : { ids: expected.ids }),
    ...(parts.federatedPem === undefined ? {} : { federatedPem: parts.federatedPem }),
    certChainPem: inIssuingOrder(parts.certChainPem),
    ...{ keyPem: parts.keyPem, rootsPem: parts.rootsPem },
    ...{ notBeforeMs: facts.notBeforeMs, notAfterMs: facts.notAfterMs, serial: facts.serial },
  };
}

function readKey(pem: string): KeyObject | IdentityProblem {
  // The error is dropped: its message may quote the file.
  const problem = 'key: not a private key in PEM form, or it needs a passphrase';
  return attempt<KeyObject | IdentityProblem>(() => createPrivateKey(pem), { problem });
}

/** Finds keys and signatures that are too weak for OpenSSL's security level. */
function refusedByOpenSsl(parts: IdentityParts): IdentityProblem | undefined {
  try {
    createSecureContext({ cert: parts.certChainPem, key: parts.keyPem, ca: allRootsPem(parts) });
    return undefined;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    return { problem: `certificate or key refused by OpenSSL (${code})` };
  }
}

/** A problem of `assembleIdentity` with the file that has it. */
export function problemInFiles(
  problem: string,
  { cert, key, roots }: { readonly cert: string; readonly key: string; readonly roots: string },
): string {
  const [part] = problem.split(':', 1);
  const file = part === 'roots' ? roots : part === 'key' ? key : cert;
  return `${file}: ${problem}`;
}
