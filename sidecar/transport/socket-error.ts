/** An alert from the peer, as OpenSSL names it: `ERR_SSL_TLSV1_ALERT_UNKNOWN_CA`. */
const ALERT = /^ERR_SSL_(?:SSLV3|TLSV1|TLSV13)_ALERT_(\w+)$/;

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
    return CERTIFICATE_ALERTS.has(alert)
      ? `the peer refused our certificate (${words}): its intentions or its roots do not let us in`
      : `the peer broke off the TLS handshake (${words})`;
  }
  // Our own refusal of a peer says what was expected and what was found.
  return code === 'OUTRIDER_PEER_REJECTED' ? message : code;
}
