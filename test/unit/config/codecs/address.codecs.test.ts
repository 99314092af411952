/** How values are spelled, read and written back. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  isLocalAddress,
  isSamePlace,
  readAddress,
  wouldReach,
  writeAddress,
} from '../../../../sidecar/config/codecs/address.js';
import { agentPlace, readAgentUrl } from '../../../../sidecar/config/codecs/agent-url.js';
import { readDuration, writeDuration } from '../../../../sidecar/config/codecs/duration.js';
import type { Parsed } from '../../../../sidecar/config/codecs/parse-result.js';
import { readSize, writeSize } from '../../../../sidecar/config/codecs/size.js';
import {
  RETRYABLE_STATUSES,
  retryableName,
  statusCode,
} from '../../../../sidecar/config/codecs/status-code.js';

function valueIn<T>(result: Parsed<T>): T {
  assert.ok(result.ok, result.ok ? '' : result.problem);
  return result.value;
}

function problemOf(result: Parsed<unknown>): string {
  assert.ok(!result.ok, 'was accepted');
  return result.problem;
}

function assertSuggests(result: Parsed<unknown>, meant: string): void {
  assert.ok(problemOf(result).endsWith(`did you mean ${meant}?`), problemOf(result));
}

describe('durations', () => {
  const lengths = {
    ...{ '0ms': 0, '1ms': 1, '250ms': 250, '15s': 15_000, '1.5s': 1_500, '0.25s': 250, '1.1s': 1_100 },
    ...{ '5m': 300_000, '1h': 3_600_000, '0.5h': 1_800_000 },
  };
  for (const [text, ms] of Object.entries(lengths))
    it(`reads ${text} as ${ms} ms`, () => assert.equal(valueIn(readDuration(text)), ms));

  for (const text of [
    ...['', '15', '-1s', '1e3ms', 's', '1 s ', '1d', '1m30s', '15S', '.5s', '5.s', 'none', '1s\n'],
    ...['٣s'],
  ])
    it(`refuses ${JSON.stringify(text)} and says what a duration looks like`, () =>
      assert.match(problemOf(readDuration(text)), /expected a duration with its unit/));

  const near = {
    '15 s': '15s',
    '15S': '15s',
    '250 msec': '250ms',
    '2 minutes': '2m',
    '1 hour': '1h',
    '2d': '48h',
  };
  for (const [text, meant] of Object.entries(near))
    it(`suggests ${meant} for ${text}`, () => assertSuggests(readDuration(text), `"${meant}"`));

  it('refuses parts of a millisecond', () =>
    assert.match(problemOf(readDuration('0.5ms')), /whole number of milliseconds/));

  it('refuses what no number can hold', () =>
    assert.match(problemOf(readDuration('99999999999999999h')), /shorter/));

  it('writes what it reads, for every whole number of milliseconds', () =>
    fc.assert(
      fc.property(
        fc.nat({ max: Number.MAX_SAFE_INTEGER }),
        (ms) => valueIn(readDuration(writeDuration(ms))) === ms,
      ),
      { seed: 1 },
    ));

  it('writes the largest unit that is exact', () => {
    assert.equal(writeDuration(90_000), '90s');
    assert.equal(writeDuration(120_000), '2m');
    assert.equal(writeDuration(7_200_000), '2h');
    assert.equal(writeDuration(1_001), '1001ms');
    assert.equal(writeDuration(0), '0ms');
  });

  for (const ms of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY])
    it(`does not write ${ms}`, () => assert.throws(() => writeDuration(ms), RangeError));
});

describe('sizes', () => {
  const sizes = { '0B': 0, '512B': 512, '64KiB': 65_536, '64MiB': 67_108_864, '2GiB': 2_147_483_648 };
  for (const [text, bytes] of Object.entries(sizes))
    it(`reads ${text} as ${bytes} bytes`, () => assert.equal(valueIn(readSize(text)), bytes));

  const near = { '64MB': '64MiB', '64 mib': '64MiB', '64k': '64KiB', '1g': '1GiB', '10 bytes': '10B' };
  for (const [text, meant] of Object.entries(near))
    it(`suggests ${meant} for ${text}`, () => assertSuggests(readSize(text), `"${meant}"`));

  for (const text of ['', '64', '1.5MiB', '-1B', '1TiB', '99999999999999999GiB'])
    it(`refuses ${JSON.stringify(text)}`, () => assert.match(problemOf(readSize(text)), /expected a/));

  it('writes what it reads, for every whole number of bytes', () =>
    fc.assert(
      fc.property(fc.nat({ max: Number.MAX_SAFE_INTEGER }), (n) => valueIn(readSize(writeSize(n))) === n),
      { seed: 1 },
    ));

  it('does not write what is no size', () => {
    assert.throws(() => writeSize(1.5), RangeError);
    assert.throws(() => writeSize(-1), RangeError);
  });
});

describe('addresses', () => {
  const at = (text: string) => valueIn(readAddress(text));
  for (const [text, address] of [
    ['127.0.0.1:8500', { kind: 'tcp', host: '127.0.0.1', port: 8500 }],
    ['localhost:0', { kind: 'tcp', host: 'localhost', port: 0 }],
    ['digits.svc.example:443', { kind: 'tcp', host: 'digits.svc.example', port: 443 }],
    ['[::1]:8500', { kind: 'tcp', host: '::1', port: 8500 }],
    ['[::ffff:10.0.0.1]:1', { kind: 'tcp', host: '::ffff:10.0.0.1', port: 1 }],
    ['unix:/run/a.sock', { kind: 'unix', path: '/run/a.sock' }],
    ['unix:///run/a.sock', { kind: 'unix', path: '/run/a.sock' }],
    ['unix:a.sock', { kind: 'unix', path: 'a.sock' }],
  ] as const)
    it(`reads ${text}`, () => assert.deepEqual(valueIn(readAddress(text)), address));

  for (const text of [
    '',
    'host',
    '127.0.0.1',
    '::1:80x',
    '[::1]',
    '[nonsense]:80',
    'a b:80',
    'host:port',
    '256.1.1.1:80',
    '1.2.3:80',
    '-a:80',
    'a..b:80',
    'unix:',
    'unix:/a\0b',
    `unix:/${'x'.repeat(107)}`,
    '127.0.0.1:65536',
    '127.0.0.1:-1',
    '127.0.0.1:80 ',
    'tcp:127.0.0.1:80',
  ])
    it(`refuses ${JSON.stringify(text.slice(0, 30))}`, () =>
      assert.match(problemOf(readAddress(text)), /expected /));

  for (const [text, meant] of [
    [':8500', '"127.0.0.1:8500" (this machine only) or "0.0.0.0:8500" (every interface)'],
    ['8500', '"127.0.0.1:8500" (this machine only) or "0.0.0.0:8500" (every interface)'],
    ['http://127.0.0.1:80/', '"127.0.0.1:80"'],
    ['*:80', '"0.0.0.0:80"'],
    ['::1:80', '"[::1]:80"'],
    ['/run/a.sock', '"unix:/run/a.sock"'],
  ])
    it(`suggests ${meant} for ${text}`, () => assertSuggests(readAddress(text!), meant!));

  it('takes a socket path as long as the kernel does, and not a byte more', () => {
    assert.ok(readAddress(`unix:/${'x'.repeat(106)}`).ok);
    assert.match(problemOf(readAddress(`unix:/${'x'.repeat(107)}`)), /found a socket path of 108 bytes/);
    assert.match(problemOf(readAddress(`unix:/${'ü'.repeat(54)}`)), /109 bytes/);
  });

  it('writes what it reads', () => {
    for (const text of ['127.0.0.1:8500', '[::1]:80', 'unix:/run/a.sock', 'a.example:1'])
      assert.equal(writeAddress(valueIn(readAddress(text))), text);
  });

  it('knows which addresses only this machine can reach', () => {
    const local = (text: string) => isLocalAddress(at(text));
    for (const text of ['127.0.0.1:1', '127.9.9.9:1', 'localhost:1', '[::1]:1', 'unix:/a'])
      assert.ok(local(text), text);
    for (const text of ['0.0.0.0:1', '10.0.0.1:1', '[::]:1', 'example.com:1', '127.example.com:1'])
      assert.ok(!local(text), text);
  });

  it('knows which listeners exclude each other', () => {
    const same = (a: string, b: string) => isSamePlace(at(a), at(b));
    assert.ok(same('127.0.0.1:80', 'localhost:80'));
    assert.ok(same('0.0.0.0:80', '10.0.0.1:80'));
    assert.ok(same('unix:/a', 'unix:/a'));
    assert.ok(!same('127.0.0.1:80', '127.0.0.1:81'));
    assert.ok(!same('127.0.0.1:0', '127.0.0.1:0'), 'port 0 is never the same port twice');
    assert.ok(!same('10.0.0.1:80', '10.0.0.2:80'));
    assert.ok(!same('unix:/a', 'unix:/b'));
    assert.ok(!same('unix:/a', '127.0.0.1:80'));
  });

  it('knows whether a call would come back to a listener', () => {
    const reaches = (a: string, b: string) => wouldReach(at(a), at(b));
    assert.ok(reaches('127.0.0.1:80', '0.0.0.0:80'));
    assert.ok(reaches('localhost:80', '127.0.0.1:80'));
    assert.ok(!reaches('10.0.0.7:80', '0.0.0.0:80'), 'another machine');
    assert.ok(!reaches('127.0.0.1:81', '0.0.0.0:80'));
  });
});

describe('status codes', () => {
  it('has a number for every name and the name for that number', () => {
    for (const name of RETRYABLE_STATUSES) assert.equal(retryableName(statusCode(name)), name);
    assert.equal(statusCode('unavailable'), 14);
    assert.equal(RETRYABLE_STATUSES.length, 7);
  });

  it('has no name for codes that are not worth another attempt', () => {
    for (const code of [0, 1, 3, 5, 16, 17, -1]) assert.throws(() => retryableName(code), RangeError);
  });
});

describe('addresses of agents', () => {
  for (const [text, url] of [
    ['http://127.0.0.1:8500', 'http://127.0.0.1:8500'],
    ['https://consul.internal:8501/', 'https://consul.internal:8501'],
    ['http://[::1]:8500', 'http://[::1]:8500'],
    ['unix:///run/consul.sock', 'unix:///run/consul.sock'],
    ['unix:/run/consul.sock', 'unix:///run/consul.sock'],
    ['unix:consul.sock', 'unix://consul.sock'],
  ] as const)
    it(`reads ${text}`, () => assert.deepEqual(readAgentUrl(text), { ok: true, value: url }));

  for (const text of [
    ...['', 'http://', 'http://:8500', 'http://a b:8500', 'http://127.0.0.1:0'],
    ...['http://127.0.0.1:65536', 'ftp://127.0.0.1:8500', 'http://127.0.0.1:8500?x=1'],
    ...['http://127.0.0.1:8500#x', 'unix:', 'unix://', 'http://unix:/a:1'],
  ])
    it(`refuses ${JSON.stringify(text)}`, () => assert.ok(!readAgentUrl(text).ok));

  for (const [text, meant] of [
    ['127.0.0.1:8500', 'http://127.0.0.1:8500'],
    ['localhost:8500', 'http://localhost:8500'],
    ['http://consul', 'http://consul:8500'],
    ['HTTPS://consul/', 'https://consul:8501'],
    ['http://127.0.0.1:8500/v1', 'http://127.0.0.1:8500'],
    ['/run/consul.sock', 'unix:///run/consul.sock'],
  ] as const)
    it(`suggests ${meant} for ${text}`, () => assertSuggests(readAgentUrl(text), `"${meant}"`));

  it('does not repeat a user or a password', () => {
    for (const text of ['http://me:5ecret@host:8500', 'https://5ecret@host', 'HTTP://a:5ecret@[::1]:1/x']) {
      const result = readAgentUrl(text);
      assert.ok(!result.ok && !result.problem.includes('5ecret'), text);
    }
  });

  it('tells where they lead', () => {
    assert.deepEqual(agentPlace('https://[::1]:8501'), { kind: 'tcp', host: '::1', port: 8501 });
    assert.deepEqual(agentPlace('unix:///run/c'), { kind: 'unix', path: '/run/c' });
  });
});
