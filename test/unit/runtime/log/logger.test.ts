import assert from 'node:assert/strict';
import { createLogger, isSecretName, LogThrottle, redact } from '../../../../sidecar/runtime/log/logger.js';
import { ManualClock } from '../../../kit/time/manual-clock.js';

function setUp(level: 'debug' | 'info' | 'warn' | 'error' = 'info') {
  const lines: Record<string, unknown>[] = [];
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) };
  const logger = createLogger({ level, destination, fields: { service: 'digits', token: 's3cret' } });
  return { lines, logger };
}

describe('createLogger', () => {
  it('a logger writes one JSON object a line, with level, ISO time, fields and message', () => {
    const { lines, logger } = setUp();
    logger.warn({ endpoint: 'a' }, 'ejected');
    assert.equal(lines.length, 1);
    const { time, ...rest } = lines[0]!;
    const fields = { service: 'digits', token: '[redacted]', endpoint: 'a' };
    assert.deepEqual(rest, { level: 'warn', ...fields, message: 'ejected' });
    assert.match(String(time), /^\d{4}-\d\d-\d\dT.*Z$/);
  });

  it('a logger writes nothing that a terminal acts on, and the same JSON', () => {
    const raw: string[] = [];
    const logger = createLogger({ level: 'info', destination: { write: (line) => void raw.push(line) } });
    const path = '/a.B/\x1b[8m\u009b2J\x7f\u202e';
    logger.info({ path }, 'refused');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly these
    assert.doesNotMatch(raw[0]!, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/);
    assert.equal((JSON.parse(raw[0]!) as { path: string }).path, path);
  });

  it('a logger writes nothing below its level, and follows a change of level', () => {
    const { lines, logger } = setUp('warn');
    logger.info({}, 'quiet');
    logger.setLevel('debug');
    logger.debug({}, 'loud');
    assert.deepEqual([lines.length, lines[0]!['message']], [1, 'loud']);
  });

  it('a logger never shows authorization, tokens, keys or binary metadata, at any depth', () => {
    const { lines, logger } = setUp();
    const [key, body] = ['s3cret', Buffer.from('s3cret')];
    const headers = { Authorization: `Bearer ${key}`, 'trace-bin': key, 'x-api-key': key, cookie: key };
    const list = [{ accessToken: key }];
    logger.info({ headers, list, key, body, 'set-cookie': key, password: key }, 'request');
    assert.doesNotMatch(JSON.stringify(lines), /s3cret/);
    assert.match(JSON.stringify(lines), /\[6 bytes\]/);
  });

  it('a logger describes an error with its code and cause', () => {
    const { lines, logger } = setUp();
    const cause = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
    logger.error({ error: new Error('no endpoint', { cause }) }, 'failed');
    const error = lines[0]!['error'] as { message: string; cause: { code: string } };
    assert.equal(error.message, 'no endpoint');
    assert.equal(error.cause.code, 'ECONNREFUSED');
  });

  it('a logger survives a value that refers to itself, and a bigint', () => {
    const { lines, logger } = setUp();
    const loop: Record<string, unknown> = {};
    loop['self'] = loop;
    logger.info({ loop, big: 10n }, 'odd');
    assert.equal(lines[0]!['big'], '10');
  });
});

describe('isSecretName', () => {
  const headers = ['authorization', 'Proxy-Authorization', 'x-bin'];
  for (const name of [...headers, 'token', 'consulToken', 'privateKey', 'private-key', 'KEY'])
    it(`${name} is the name of a secret`, () => assert.equal(isSecretName(name), true));
  for (const name of ['endpoint', 'monkey', 'keys', 'binary', 'metadataKey', 'combine'])
    it(`${name} is not the name of a secret`, () => assert.equal(isSecretName(name), false));
});

describe('redact', () => {
  it('redaction does not change the value that it is given', () => {
    const fields = { token: 's3cret' };
    assert.deepEqual(redact(fields), { token: '[redacted]' });
    assert.deepEqual(fields, { token: 's3cret' });
  });
});

describe('LogThrottle', () => {
  it('a log throttle lets one of a kind through per period, with the number held back', () => {
    const clock = new ManualClock();
    const gate = new LogThrottle(clock, 1_000);
    assert.equal(gate.pass('a'), 0);
    assert.equal(gate.pass('a'), -1);
    assert.equal(gate.pass('a'), -1);
    assert.equal(gate.pass('b'), 0);
    clock.advance(999);
    assert.equal(gate.pass('a'), -1);
    clock.advance(1);
    assert.equal(gate.pass('a'), 3);
    assert.equal(gate.pass('a'), -1);
  });

  it('a log throttle remembers a bounded number of kinds', () => {
    const gate = new LogThrottle(new ManualClock(), 1_000, 10);
    for (let i = 0; i < 10_000; i += 1) assert.equal(gate.pass(`kind ${i}`), 0);
  });
});
