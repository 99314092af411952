import assert from 'node:assert/strict';
import {
  healthAnswer,
  healthQuestion,
  readHealthAnswer,
  readHealthQuestion,
  servingName,
} from '../../../sidecar/codec/health.js';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

describe('The messages of grpc.health.v1', () => {
  it('ask for the server as a whole with nothing, for a service with its name', () => {
    assert.deepEqual(healthQuestion(''), hex('00 00000000'));
    assert.deepEqual(healthQuestion('digits'), hex('00 00000008 0a06646967697473'));
  });

  it('are read as they are written', () => {
    for (const service of ['', 'digits', 'größer'])
      assert.equal(readHealthQuestion(healthQuestion(service)), service);
    assert.equal(readHealthAnswer(healthAnswer(true)), 1);
    assert.equal(readHealthAnswer(healthAnswer(false)), 2);
  });

  it('are read as any library may write them', () => {
    assert.equal(readHealthAnswer(hex('00 00000000')), 0, 'UNKNOWN is the absence of a number');
    assert.equal(readHealthAnswer(hex('00 00000003 088101')), 129);
    assert.equal(readHealthAnswer(hex('00 00000005 1201ff 0801')), 1, 'fields that are not known');
    assert.equal(readHealthQuestion(hex('00 00000006 0a0161 0a0162')), 'b', 'the last one counts');
  });

  for (const [what, bytes] of [
    ['nothing', ''],
    ['half a prefix', '0000'],
    ['a compressed message', '01 00000002 0801'],
    ['a message that is cut off', '00 00000002 08'],
    ['two messages', '00 00000002 0801 00 00000002 0801'],
    ['bytes that are no message', '00 00000002 ffff'],
    ['a field that is cut off', '00 00000002 0a05'],
  ] as const) {
    it(`are not taken for ${what}`, () => {
      assert.equal(readHealthQuestion(hex(bytes)), undefined);
      assert.equal(readHealthAnswer(hex(bytes)), undefined);
    });
  }

  it('have names for people', () => {
    assert.deepEqual([1, 2, 3, 9].map(servingName), [
      'SERVING',
      'NOT_SERVING',
      'SERVICE_UNKNOWN',
      'status 9',
    ]);
  });
});
