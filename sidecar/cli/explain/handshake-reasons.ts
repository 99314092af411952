import type { PeerRejection } from '../../identity/tls/peer-verification.js';

/** Why a certificate was refused, in the log and in `outrider_handshake_failures_total`, with the remedy. */
export const HANDSHAKE_REASONS: {
  readonly [Each in PeerRejection]: readonly [meaning: string, remedy: string];
} = {
  'no-certificate': [
    'The peer showed no certificate.',
    'Let the client call its own sidecar, not the inbound port.',
  ],
  malformed: ['The certificate cannot be read.', 'Issue it again: X.509 version 3, PEM or DER.'],
  'critical-extension': [
    'The certificate has an unknown critical extension.',
    'Issue it without the extension.',
  ],
  'signing-certificate': [
    'The certificate belongs to a certificate authority.',
    'Give the sidecar a leaf certificate (CA:FALSE).',
  ],
  'key-usage': [
    'The certificate may not be used for this side of TLS.',
    'Issue it with digitalSignature. If it has an extended key usage, include serverAuth and clientAuth.',
  ],
  'no-uri': [
    'The certificate has no URI in its alternative names.',
    'Issue it with one SPIFFE id; `outrider certs` does.',
  ],
  'several-uris': ['The certificate has several URIs.', 'Issue it with exactly one SPIFFE id.'],
  'bad-spiffe-id': [
    'The URI is not a SPIFFE id.',
    'Form: spiffe://TRUST-DOMAIN/ns/NAMESPACE/dc/DATACENTER/svc/SERVICE.',
  ],
  'unmapped-id': [
    'The SPIFFE id names no service, and `identity.ids` has no entry for it.',
    'Add the id to `identity.ids`.',
  ],
  'wrong-trust-domain': [
    'The certificate is of another trust domain.',
    'Set the same `trust_domain` on both sides. Two Consul clusters have different ones.',
  ],
  'wrong-namespace': [
    'The certificate is of another namespace.',
    'Only the namespace `default` is accepted.',
  ],
  'clock-not-yet-valid': [
    'The certificate is not valid yet by the clock of this machine.',
    "Set the clocks: `timedatectl`, chrony. `outrider check` compares them with Consul's.",
  ],
  'clock-expired': [
    'The certificate has expired by the clock of this machine.',
    'Check the clock. Renew the certificate, and find out why it was not renewed.',
  ],
  untrusted: [
    'The certificate was not issued under a root of this sidecar.',
    'Give both sides the same roots; while roots change, both sides need the old and the new.',
  ],
  'chain-too-long': [
    'There are too many certificates between the leaf and the root.',
    'Issue with fewer intermediates.',
  ],
  'wrong-service': [
    'The endpoint has the certificate of another service.',
    'The address belongs to another service: check the registration, or the name of the upstream.',
  ],
  'wrong-datacenter': [
    'The endpoint has the certificate of another datacenter.',
    'Check `datacenter` of both sides.',
  ],
  'wrong-protocol': ['TLS did not agree on HTTP/2 (ALPN h2).', 'Check the address: it is not a sidecar.'],
};
