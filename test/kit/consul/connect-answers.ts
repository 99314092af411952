/** Answers of the agent about Connect's CA, in the form of Consul 1.8, with certificates of the test authority. */

import type { TestAuthority, TestLeaf } from '../identity/certificates.js';
import { TRUST_DOMAIN } from '../identity/certificates.js';

/** `roots`: the first is the active one. */
export function rootsAnswer(roots: readonly TestAuthority[], over: object = {}): object {
  return {
    ActiveRootID: 'root-0',
    TrustDomain: TRUST_DOMAIN,
    Roots: roots.map((root, i) => ({
      ID: `root-${i}`,
      Name: 'Consul CA Root Cert',
      RootCert: root.pem,
      IntermediateCerts: null,
      Active: i === 0,
    })),
    ...over,
  };
}

export function leafAnswer(leaf: TestLeaf, over: object = {}): object {
  return {
    SerialNumber: '0c',
    CertPEM: leaf.certChainPem,
    PrivateKeyPEM: leaf.keyPem,
    Service: 'digits',
    ...over,
  };
}
