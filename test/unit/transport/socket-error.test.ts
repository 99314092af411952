import assert from 'node:assert/strict';
import { PeerRejectedError } from '../../../sidecar/identity/tls/tls-options.js';
import { describeEndUngreeted, describeSocketError } from '../../../sidecar/transport/socket-error.js';

describe('describeSocketError', () => {
  const TLS = '40:error:0A000412:SSL routines';
  const refused = (why: string): string =>
    `the peer refused our certificate (${why}): its intentions or its roots do not let us in, or a clock is wrong`;
  for (const [code, message, words] of [
    ['ECONNREFUSED', 'connect ECONNREFUSED 127.0.0.1:1', 'ECONNREFUSED'],
    [
      'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
      'unable to get it',
      'the certificate of the peer is refused: unable to get it (UNABLE_TO_GET_ISSUER_CERT_LOCALLY)',
    ],
    [
      'CERT_HAS_EXPIRED',
      'certificate has expired',
      'the certificate of the peer is refused: certificate has expired (CERT_HAS_EXPIRED)',
    ],
    [
      'ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED',
      TLS,
      'the peer refused our certificate (certificate expired): renew it, or set the clock that is wrong',
    ],
    ['ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE', TLS, refused('bad certificate')],
    ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', TLS, refused('certificate required')],
    ['ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', TLS, 'the peer broke off the TLS handshake (protocol version)'],
  ] as const)
    it(code, () => assert.equal(describeSocketError(Object.assign(new Error(message), { code })), words));

  it("a refusal of the peer's certificate says what was expected and what was found", () => {
    const error = new PeerRejectedError('wrong-service', 'expected the service "a", found "b"');
    assert.equal(describeSocketError(error), 'peer refused: expected the service "a", found "b"');
  });

  it('an end right after the handshake may be a refusal, unless a cause is known', () => {
    const may = /right after the TLS handshake: it may have refused our certificate/;
    for (const words of ['closed by the peer', 'ECONNRESET']) assert.match(describeEndUngreeted(words), may);
    assert.equal(describeEndUngreeted('no more'), 'no more');
  });

  it('an error without a code keeps its message', () => {
    assert.equal(describeSocketError(new Error('no more')), 'no more');
  });
});
