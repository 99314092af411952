/**
 * How our identity looks on the wire: the TLS floor (1.2, AEAD only), ALPN, and no session resumption, which
 * would skip every check of the peer. The options refuse strangers on their own; users of a socket still call
 * `verifyPeerSocket` on it, because Node knows none of SPIFFE's rules.
 */

import { constants } from 'node:crypto';
import tls from 'node:tls';
import type { Identity } from '../identity.js';
import { isProblem } from '../spiffe.js';
import {
  chainOf,
  createPeerTrust,
  type ExpectedPeer,
  type PeerRejection,
  type PeerTrust,
  verifyPeer,
} from './peer-verification.js';

/** TLS 1.3 suites, then the AEAD suites of 1.2: no CBC, no CCM-8, forward secrecy always. */
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

/** P-384 only because leaves may have such keys (under TLS 1.2 the curve list covers certificates too). */
const CURVES = 'X25519:P-256:P-384';

/** SSL_OP_NO_RENEGOTIATION has no name in the types of every Node version we run on. */
const NO_RENEGOTIATION = 1 << 30;

/** TCP accept to the end of the TLS handshake, ms, when the caller names no other. */
const HANDSHAKE_TIMEOUT_MS = 5_000;

/** A peer that was refused; `reason` is the stable name. */
export class PeerRejectedError extends Error {
  readonly code = 'OUTRIDER_PEER_REJECTED';

  constructor(
    readonly reason: PeerRejection,
    detail: string,
  ) {
    super(`peer refused: ${detail}`);
  }
}

/** The trust that goes with an identity. An identity was checked when it was made, so a fault here is a defect. */
export function trustOf(identity: Identity): PeerTrust {
  const trust = createPeerTrust(identity.id.trustDomain, identity.rootsPem);
  if (isProblem(trust)) throw new Error(`roots: ${trust.problem}`);
  return trust;
}

/** Whom a connection is for. `subset` only shows in the SNI, as Consul's gateways and peers know it. */
export interface PeerName extends ExpectedPeer {
  readonly subset?: string;
}

/** Without an identity: no certificate, so that no handshake succeeds; and nobody is believed. */
function contextOptions(identity: Identity | undefined): tls.SecureContextOptions {
  return {
    ...(identity === undefined
      ? { ca: [] }
      : { cert: identity.certChainPem, key: identity.keyPem, ca: identity.rootsPem }),
    minVersion: 'TLSv1.2',
    ciphers: CIPHERS,
    ecdhCurve: CURVES,
    honorCipherOrder: true,
    secureOptions: constants.SSL_OP_NO_TICKET | NO_RENEGOTIATION,
  };
}

/**
 * For `tls.createServer` and `setSecureContext`. A client that offers protocols without h2 fails the handshake; one
 * that offers none is let in (prior knowledge). Without an identity every handshake fails: a listener may open before
 * there is one, and gets it by `TlsRotation.attach`.
 */
export function serverTlsOptions(
  identity: Identity | undefined,
  handshakeTimeoutMs = HANDSHAKE_TIMEOUT_MS,
): tls.TlsOptions {
  return {
    ...contextOptions(identity),
    requestCert: true,
    rejectUnauthorized: true,
    ALPNProtocols: ['h2'],
    handshakeTimeout: handshakeTimeoutMs,
  };
}

/** The parts of the client options that are costly and the same for every upstream. */
export interface ClientCredentials {
  readonly identity: Identity;
  readonly trust: PeerTrust;
  readonly context: tls.SecureContext;
}

export function clientCredentials(identity: Identity): ClientCredentials {
  return { identity, trust: trustOf(identity), context: tls.createSecureContext(contextOptions(identity)) };
}

/**
 * For `tls.connect`, without the address. The peer must be the service named, and of the datacenter when one is named;
 * otherwise the socket emits a `PeerRejectedError`. No session is given, so nothing is resumed.
 */
export function clientConnectOptions(
  credentials: ClientCredentials,
  peer: PeerName | string,
  wallNow: () => number,
): tls.ConnectionOptions {
  const name = typeof peer === 'string' ? { service: peer } : peer;
  const servername = serverName(name, credentials.identity);
  return {
    secureContext: credentials.context,
    rejectUnauthorized: true,
    ALPNProtocols: ['h2'],
    ...(servername === undefined ? {} : { servername }),
    checkServerIdentity: (_host, certificate) => checkServer(certificate, credentials.trust, name, wallNow()),
  };
}

const LABEL = /^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?$/;

/**
 * Consul's form of the SNI, `[subset.]service.default.<datacenter>.internal.<trust domain>`, the datacenter ours where
 * none is named; undefined where a part is no DNS label.
 */
export function serverName(peer: PeerName, identity: Identity): string | undefined {
  const { service, subset, datacenter = identity.id.datacenter } = peer;
  const labels = [...(subset ? [subset] : []), service, 'default', datacenter];
  if (!labels.every((label) => LABEL.test(label))) return undefined;
  const name = `${labels.join('.')}.internal.${identity.id.trustDomain}`;
  return name.length <= 253 ? name : undefined;
}

function checkServer(
  certificate: tls.PeerCertificate,
  trust: PeerTrust,
  expected: ExpectedPeer,
  wallNowMs: number,
): Error | undefined {
  const chain = chainOf(certificate);
  if (!chain) return new PeerRejectedError('no-certificate', 'the peer presented no certificate');
  const verdict = verifyPeer(chain, trust, wallNowMs, expected);
  return verdict.kind === 'rejected' ? new PeerRejectedError(verdict.reason, verdict.detail) : undefined;
}

/**
 * Why a handshake failed, as one of our stable names; undefined when it was not about certificates. For the
 * `tlsClientError` event of a server, which gets the socket (closed by then, with only OpenSSL's verdict left on
 * it), and the `error` event of a client.
 */
export function handshakeFailure(
  error: (Error & { readonly code?: string }) | undefined,
  socket: tls.TLSSocket | undefined,
): PeerRejection | undefined {
  if (error instanceof PeerRejectedError) return error.reason;
  // Typed as an Error, it is the code of OpenSSL's verdict.
  const verdict: unknown = socket?.authorizationError;
  const code = typeof verdict === 'string' ? verdict : error?.code;
  return code === undefined ? undefined : OPENSSL_FAULTS.get(code);
}

const OPENSSL_FAULTS: ReadonlyMap<string, PeerRejection> = new Map([
  ['CERT_HAS_EXPIRED', 'clock-expired'],
  ['CERT_NOT_YET_VALID', 'clock-not-yet-valid'],
  // What Node reports when there is no certificate at all.
  ['UNABLE_TO_GET_ISSUER_CERT', 'no-certificate'],
  ['ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE', 'no-certificate'],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'untrusted'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'untrusted'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'untrusted'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'untrusted'],
  ['CERT_SIGNATURE_FAILURE', 'untrusted'],
  ['CERT_UNTRUSTED', 'untrusted'],
  ['CERT_REJECTED', 'untrusted'],
  ['INVALID_CA', 'untrusted'],
  ['PATH_LENGTH_EXCEEDED', 'untrusted'],
  ['CERT_CHAIN_TOO_LONG', 'chain-too-long'],
  ['INVALID_PURPOSE', 'key-usage'],
  // Codes Node has no name for: unknown critical extension, name constraint, issuer without keyCertSign.
  ['UNSPECIFIED', 'untrusted'],
  ['ERR_SSL_NO_APPLICATION_PROTOCOL', 'wrong-protocol'],
]);
