/** An alert from the peer, as OpenSSL names it: `ERR_SSL_TLSV1_ALERT_UNKNOWN_CA`. */
const ALERT = /^ERR_SSL_(?:SSLV3|TLSV1|TLSV13)_ALERT_(\w+)$/;

/** A peer has ended a connection without an error. */
export const CLOSED = 'closed by the peer';

/** Nothing listens at the address of a peer. */
export const REFUSED = 'ECONNREFUSED';

/** Alerts by which a peer refuses a certificate. Consul's built-in proxy sends `bad certificate` for an intention. */
const CERTIFICATE_ALERTS = new Set([
  'ACCESS_DENIED',
  'BAD_CERTIFICATE',
  'CERTIFICATE_EXPIRED',
  'CERTIFICATE_REQUIRED',
  'CERTIFICATE_REVOKED',
  'CERTIFICATE_UNKNOWN',
  'UNKNOWN_CA',
  'UNSUPPORTED_CERTIFICATE',
]);

/** OpenSSL's verdicts on a certificate, X509_verify_cert_error_string(3), as Node names them. */
const VERDICT =
  /^(?:CERT_|UNABLE_TO_|DEPTH_ZERO_SELF_SIGNED_CERT$|SELF_SIGNED_CERT_IN_CHAIN$|INVALID_CA$|INVALID_PURPOSE$|PATH_LENGTH_EXCEEDED$)/;

/** An end of a connection for which the other side has given no cause. */
const BARE_ENDS = new Set([CLOSED, 'ECONNRESET', 'EPIPE']);

/** What this process or its machine has run out of: descriptors, ports, memory. It says nothing about the peer. */
const OWN_SHORTAGES = new Set(['EMFILE', 'ENFILE', 'EADDRNOTAVAIL', 'ENOBUFS', 'ENOMEM']);

/** @param words as `describeSocketError` has put them. */
export function isOwnShortage(words: string): boolean {
  return OWN_SHORTAGES.has(words);
}

/**
 * Describes a socket error for callers, `/endpoints` and the log, in one line that can be acted on: the system's code
 * (ECONNREFUSED), and words for what TLS reports.
 */
export function describeSocketError(error: NodeJS.ErrnoException): string {
  const { code, message } = error;
  if (code === undefined) return message;
  const alert = ALERT.exec(code)?.[1];
  if (alert !== undefined) {
    const words = alert.toLowerCase().replaceAll('_', ' ');
    if (alert === 'CERTIFICATE_EXPIRED')
      return `the peer refused our certificate (${words}): renew it, or set the clock that is wrong`;
    return CERTIFICATE_ALERTS.has(alert)
      ? `the peer refused our certificate (${words}): its intentions or its roots do not let us in, or a clock is wrong`
      : `the peer broke off the TLS handshake (${words})`;
  }
  if (VERDICT.test(code)) return `the certificate of the peer is refused: ${message} (${code})`;
  // Our own refusal of a peer says what was expected and what was found.
  return code === 'OUTRIDER_PEER_REJECTED' ? message : code;
}

/**
 * The end of a connection of ours over TLS on which the peer has said nothing since the handshake. In TLS 1.3 the handshake is over on
 * this side before the peer has looked at our certificate, and servers may close without an alert. @param words why it ended.
 */
export function describeEndUngreeted(words: string): string {
  return BARE_ENDS.has(words)
    ? `${words} right after the TLS handshake: it may have refused our certificate, and its log says why`
    : words;
}
