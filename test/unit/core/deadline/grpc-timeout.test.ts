import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  formatGrpcTimeout,
  MAX_TIMEOUT_MS,
  parseGrpcTimeout,
} from '../../../../sidecar/core/deadline/grpc-timeout.js';

describe('parseGrpcTimeout', () => {
  for (const [text, ms] of [
    ['1n', 0.000001],
    ['1500u', 1.5],
    ['0m', 0],
    ['1m', 1],
    ['00000001m', 1],
    ['99999999m', 99_999_999],
    ['1S', 1_000],
    ['2M', 120_000],
    ['1H', 3_600_000],
    ['596H', 2_145_600_000],
    ['597H', MAX_TIMEOUT_MS],
    ['99999999S', MAX_TIMEOUT_MS],
    ['99999999H', MAX_TIMEOUT_MS],
  ] as const)
    it(`reads ${text} as ${ms} ms`, () => assert.equal(parseGrpcTimeout(text), ms));

  for (const text of [
    ...['', 'm', '1', '100', '100000000m', '1s', '1h', '-1m', '+1m', '1.5S', ' 1m', '1m ', '1 m', '1mm'],
    ...['0x1m', '１m', 'NaNm', '1é'],
  ])
    it(`refuses "${text}"`, () => assert.ok(Number.isNaN(parseGrpcTimeout(text))));

  it('answers a number at least 0 and bounded, or NaN, whatever the text', () => {
    const like = fc.stringMatching(/^[0-9]{0,10}[HMSmunx]?$/);
    fc.assert(
      fc.property(fc.oneof(fc.string(), like), (text) => {
        const ms = parseGrpcTimeout(text);
        assert.equal(!Number.isNaN(ms), /^\d{1,8}[HMSmun]$/.test(text));
        if (!Number.isNaN(ms)) assert.ok(ms >= 0 && ms <= MAX_TIMEOUT_MS);
      }),
    );
  });
});

describe('formatGrpcTimeout', () => {
  for (const [ms, text] of [
    [Number.NaN, '1n'],
    [-5, '1n'],
    [0, '1n'],
    [0.0000001, '1n'],
    [0.0999999, '99999n'],
    [0.1, '100u'],
    [1.5, '1500u'],
    [99.9999, '99999u'],
    [100, '100m'],
    [14_998.7, '14998m'],
    [16_383.9, '16383m'],
    [16_384, '16384m'],
    [99_999_999, '99999999m'],
    [100_000_000, '100000S'],
    [MAX_TIMEOUT_MS, '2147483S'],
    [Number.POSITIVE_INFINITY, '2147483S'],
  ] as const)
    it(`writes ${ms} ms as ${text}`, () => {
      assert.equal(formatGrpcTimeout(ms), text);
      assert.equal(formatGrpcTimeout(ms), text);
    });

  it('never promises more than is left, and wastes at most one per cent', () => {
    const times = [200, 20_000, MAX_TIMEOUT_MS].map((max) => fc.double({ min: 0.01, max, noNaN: true }));
    fc.assert(
      fc.property(fc.oneof(...times), (ms) => {
        const text = formatGrpcTimeout(ms);
        assert.match(text, /^[1-9]\d{0,7}[HMSmun]$/);
        const told = parseGrpcTimeout(text);
        assert.ok(told <= ms * (1 + 1e-12), `${told} > ${ms}`);
        assert.ok(told >= ms * 0.99, `${told} wastes too much of ${ms}`);
      }),
    );
  });
});
