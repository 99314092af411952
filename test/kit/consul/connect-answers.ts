/** Answers of the agent about Connect's CA, in the form of Consul 1.8, with certificates of the test authority. */

import type { TestAuthority, TestLeaf } from '../identity/certificates.js';
import { TRUST_DOMAIN } from '../identity/certificates.js';

/** `roots`: the first is the active one. */
export function rootsAnswer(roots: readonly TestAuthority[], over: object = {}): object {
  const rest = { Name: 'Consul CA Root Cert', IntermediateCerts: null };
  const Roots = roots.map(({ pem }, i) => ({ ID: `root-${i}`, RootCert: pem, Active: i === 0, ...rest }));
  return { ActiveRootID: 'root-0', TrustDomain: TRUST_DOMAIN, Roots, ...over };
}

export function leafAnswer(leaf: TestLeaf, over: object = {}): object {
  const pems = { CertPEM: leaf.certChainPem, PrivateKeyPEM: leaf.keyPem };
  return { SerialNumber: '0c', ...pems, Service: 'digits', ...over };
}
