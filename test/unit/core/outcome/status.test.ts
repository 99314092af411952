import assert from 'node:assert/strict';
import {
  parseStatus,
  Status,
  statusFromHttp,
  statusFromReset,
  statusName,
} from '../../../../sidecar/core/outcome/status.js';

describe('status', () => {
  it('has the seventeen codes of gRPC, 0 to 16', () => {
    const codes = Array.from({ length: 17 }, (_, code) => code);
    assert.deepEqual(Object.values(Status), codes);
  });

  for (const [code, name] of [
    [0, 'OK'],
    [14, 'UNAVAILABLE'],
    [16, 'UNAUTHENTICATED'],
    [17, 'other'],
    [-1, 'other'],
    [Number.NaN, 'other'],
  ] as const)
    it(`names ${code} ${name}`, () => assert.equal(statusName(code), name));

  for (const [text, code] of [
    ['UNAVAILABLE', 14],
    ['unavailable', 14],
    ['deadline-exceeded', 4],
    [' Data_Loss ', 15],
    ['0', 0],
    ['16', 16],
    ['17', undefined],
    ['-1', undefined],
    ['', undefined],
    ['UNAVAIL', undefined],
    ['constructor', undefined],
    ['1.0', undefined],
  ] as const)
    it(`reads "${text}" in a file as ${code}`, () => assert.equal(parseStatus(text), code));

  const { INTERNAL, UNAUTHENTICATED, PERMISSION_DENIED, UNIMPLEMENTED, UNAVAILABLE, UNKNOWN } = Status;
  for (const [code, statuses] of [
    [INTERNAL, [400]],
    [UNAUTHENTICATED, [401]],
    [PERMISSION_DENIED, [403]],
    [UNIMPLEMENTED, [404]],
    [UNAVAILABLE, [429, 502, 503, 504]],
    [UNKNOWN, [200, 431, 500, 0]],
  ] as const)
    for (const http of statuses)
      it(`maps HTTP ${http} without grpc-status to ${statusName(code)}`, () =>
        assert.equal(statusFromHttp(http), code));

  for (const [code, errorCodes] of [
    [INTERNAL, [0, 1, 2, 9, 10]],
    [UNKNOWN, [5, 13, 4_294_967_295]],
    [UNAVAILABLE, [7]],
    [Status.CANCELLED, [8]],
    [Status.RESOURCE_EXHAUSTED, [11]],
    [PERMISSION_DENIED, [12]],
  ] as const)
    for (const errorCode of errorCodes)
      it(`maps RST_STREAM ${errorCode} to ${statusName(code)}`, () =>
        assert.equal(statusFromReset(errorCode), code));
});
