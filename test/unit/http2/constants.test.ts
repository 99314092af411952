import assert from 'node:assert/strict';
import { constants as nghttp2 } from 'node:http2';
import { ErrorCode, Flag, Setting } from '../../../sidecar/http2/constants.js';

describe('the numbers of RFC 9113', () => {
  for (const [what, prefix, numbers] of [
    ['flags', 'NGHTTP2_FLAG', Flag],
    ['error codes', 'NGHTTP2', ErrorCode],
    ['settings', 'NGHTTP2_SETTINGS', Setting],
  ] as const)
    it(`${what} have those of nghttp2`, () => {
      for (const [name, number] of Object.entries(numbers)) {
        const key = `${prefix}_${name.replace(/[A-Z0-9]/g, '_$&').toUpperCase()}`;
        assert.equal(nghttp2[key as keyof typeof nghttp2], number, key);
      }
    });
});
