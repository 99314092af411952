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
    assert.deepEqual(
      Object.values(Status),
      Array.from({ length: 17 }, (_, code) => code),
    );
  });

  for (const [code, name] of [
    [0, 'OK'],
    [14, 'UNAVAILABLE'],
    [16, 'UNAUTHENTICATED'],
    [17, 'other'],
    [-1, 'other'],
    [Number.NaN, 'other'],
  ] as const) {
    it(`names ${code} ${name}`, () => assert.equal(statusName(code), name));
  }

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
  ] as const) {
    it(`reads "${text}" in a file as ${code}`, () => assert.equal(parseStatus(text), code));
  }

  for (const [http, code] of [
    [200, Status.UNKNOWN],
    [400, Status.INTERNAL],
    [401, Status.UNAUTHENTICATED],
    [403, Status.PERMISSION_DENIED],
    [404, Status.UNIMPLEMENTED],
    [429, Status.UNAVAILABLE],
    [431, Status.INTERNAL],
    [500, Status.UNKNOWN],
    [502, Status.UNAVAILABLE],
    [503, Status.UNAVAILABLE],
    [504, Status.UNAVAILABLE],
    [0, Status.UNKNOWN],
  ] as const) {
    it(`maps HTTP ${http} without grpc-status to ${statusName(code)}`, () =>
      assert.equal(statusFromHttp(http), code));
  }

  for (const [errorCode, code] of [
    [0, Status.INTERNAL],
    [1, Status.INTERNAL],
    [2, Status.INTERNAL],
    [5, Status.UNKNOWN],
    [7, Status.UNAVAILABLE],
    [8, Status.CANCELLED],
    [9, Status.INTERNAL],
    [10, Status.INTERNAL],
    [11, Status.RESOURCE_EXHAUSTED],
    [12, Status.PERMISSION_DENIED],
    [13, Status.UNKNOWN],
    [4_294_967_295, Status.UNKNOWN],
  ] as const) {
    it(`maps RST_STREAM ${errorCode} to ${statusName(code)}`, () =>
      assert.equal(statusFromReset(errorCode), code));
  }
});
