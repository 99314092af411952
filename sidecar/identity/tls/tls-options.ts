import { constants } from 'node:crypto';
import tls from 'node:tls';
import { allRootsPem, type Identity } from '../identity.js';
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

/**
 * P-384 only because leaves may have such keys (under TLS 1.2 the curve list covers certificates
 * too).
 */
const CURVES = 'X25519:P-256:P-384';

/** SSL_OP_NO_RENEGOTIATION, which the types of some supported Node versions do not name. */
const NO_RENEGOTIATION = 1 << 30;

/** Default time from TCP accept to the end of the TLS handshake, ms. */
const HANDSHAKE_TIMEOUT_MS = 5_000;

/** The error of a client socket whose peer was rejected. */
export class PeerRejectedError extends Error {
  readonly code = 'OUTRIDER_PEER_REJECTED';

  constructor(
    readonly reason: PeerRejection,
    detail: string,
  ) {
    super(`peer refused: ${detail}`);
  }
}

/**
 * Trust in the roots of an identity. Throws only for an identity that `assembleIdentity` has not
 * checked.
 */
export function trustOf(identity: Identity): PeerTrust {
  const trust = createPeerTrust(identity.id.trustDomain, identity.rootsPem, identity);
  if (isProblem(trust)) throw new Error(`roots: ${trust.problem}`);
  return trust;
}

/** The endpoint a connection is for. `subset` appears in the SNI only, as in Consul's. */
export interface PeerName extends ExpectedPeer {
  readonly subset?: string;
}

/**
 * TLS 1.2 or newer with AEAD suites, and no session tickets: a resumed session would skip the
 * verification of the peer. Without an identity there is no certificate and no CA, so that every
 * handshake fails.
 */
function contextOptions(identity: Identity | undefined): tls.SecureContextOptions {
  return {
    ...(identity === undefined
      ? { ca: [] }
      : { cert: identity.certChainPem, key: identity.keyPem, ca: allRootsPem(identity) }),
    minVersion: 'TLSv1.2',
    ciphers: CIPHERS,
    ecdhCurve: CURVES,
    honorCipherOrder: true,
    secureOptions: constants.SSL_OP_NO_TICKET | NO_RENEGOTIATION,
  };
}

/**
 * Options for `tls.createServer` and `setSecureContext`. A client that offers ALPN protocols
 * without h2 fails the handshake; one that offers none is accepted (prior knowledge). A listener
 * may open without an identity, when every handshake fails, and gets one by `TlsRotation.attach`.
 * Peers also have to pass `verifyPeerSocket`.
 */
export function serverTlsOptions(identity: Identity | undefined): tls.TlsOptions {
  return {
    ...contextOptions(identity),
    requestCert: true,
    rejectUnauthorized: true,
    ALPNProtocols: ['h2'],
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
  };
}

/** What all client connections of an identity share; a secure context is costly to create. */
export interface ClientCredentials {
  readonly identity: Identity;
  readonly trust: PeerTrust;
  readonly context: tls.SecureContext;
}

/** Creates the shared part of client connections. */
export function clientCredentials(identity: Identity): ClientCredentials {
  return { identity, trust: trustOf(identity), context: tls.createSecureContext(contextOptions(identity)) };
}

/**
 * Options for `tls.connect`, without the address. The peer has to be the named service, and of the
 * named datacenter if there is one; else the socket emits a `PeerRejectedError`. No session is
 * passed, so that none is resumed.
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
 * The SNI in Consul's form, `[subset.]service.default.<datacenter>.internal.<trust domain>`, with
 * our own datacenter by default; undefined where a part is no DNS label.
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
  const peer = verifyPeer(chain, trust, wallNowMs, expected);
  return peer.kind === 'rejected' ? new PeerRejectedError(peer.reason, peer.detail) : undefined;
}

/**
 * Why a handshake failed, as a stable name; undefined when it was not about certificates.
 *
 * @param error of a server's `tlsClientError` or a client's `error` event.
 * @param socket of that event; on a server it is closed by then and has only OpenSSL's result.
 */
export function handshakeFailure(
  error: (Error & { readonly code?: string }) | undefined,
  socket: tls.TLSSocket | undefined,
): PeerRejection | undefined {
  if (error instanceof PeerRejectedError) return error.reason;
  // Typed as an Error, but it is the code of OpenSSL's result.
  const result: unknown = socket?.authorizationError;
  const code = typeof result === 'string' ? result : error?.code;
  return code === undefined ? undefined : OPENSSL_REASONS.get(code);
}

/**
 * Error codes of OpenSSL and Node, X509_verify_cert_error_string(3), by the reason they stand for.
 */
const OPENSSL_REASONS: ReadonlyMap<string, PeerRejection> = new Map([
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
