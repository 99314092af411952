import assert from 'node:assert/strict';
import { PeerRejectedError } from '../../../sidecar/identity/tls/tls-options.js';
import { describeSocketError } from '../../../sidecar/transport/socket-error.js';

describe('describeSocketError', () => {
  const cases: readonly [string, string, string][] = [
    ['ECONNREFUSED', 'connect ECONNREFUSED 127.0.0.1:1', 'ECONNREFUSED'],
    ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'unable to get it', 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY'],
    [
      'ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE',
      '40:error:0A000412:SSL routines',
      'the peer refused our certificate (bad certificate): its intentions or its roots do not let us in',
    ],
    [
      'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED',
      '40:error',
      'the peer refused our certificate (certificate required): its intentions or its roots do not let us in',
    ],
    [
      'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
      '40:error',
      'the peer broke off the TLS handshake (protocol version)',
    ],
  ];
  for (const [code, message, words] of cases) {
    it(code, () => assert.equal(describeSocketError(Object.assign(new Error(message), { code })), words));
  }

  it("a refusal of the peer's certificate says what was expected and what was found", () => {
    const error = new PeerRejectedError('wrong-service', 'expected the service "a", found "b"');
    assert.equal(describeSocketError(error), 'peer refused: expected the service "a", found "b"');
  });

  it('an error without a code keeps its message', () => {
    assert.equal(describeSocketError(new Error('no more')), 'no more');
  });
});
