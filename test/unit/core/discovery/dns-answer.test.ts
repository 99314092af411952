import assert from 'node:assert/strict';
import { type RecordAnswer, readAnswers } from '../../../../sidecar/core/discovery/dns-answer.js';

describe('The answers of a round of DNS queries', () => {
  const some = (...addresses: string[]): RecordAnswer => ({ kind: 'addresses', addresses });
  const none: RecordAnswer = { kind: 'none', why: 'no such name', isName: false };
  const failed: RecordAnswer = { kind: 'failed', why: 'SERVFAIL' };
  const before = { a: ['10.0.0.1'], aaaa: ['fd00::1'] };

  it('are addresses of both types, each once, in an order that does not depend on that of the records', () => {
    const one = readAnswers(undefined, {
      a: some('10.0.0.2', '10.0.0.1', '10.0.0.2'),
      aaaa: some('fd00::1'),
    });
    const other = readAnswers(undefined, { a: some('10.0.0.1', '10.0.0.2'), aaaa: some('fd00::1') });
    assert.deepEqual(one, other);
    assert.deepEqual(one, {
      known: { a: ['10.0.0.1', '10.0.0.2'], aaaa: ['fd00::1'] },
      isEmpty: false,
      isFailure: false,
      isPartial: false,
    });
  });

  it('of one type are enough where the other has none', () => {
    assert.deepEqual(readAnswers(before, { a: some('10.0.0.3'), aaaa: none }), {
      known: { a: ['10.0.0.3'], aaaa: [] },
      isEmpty: false,
      isFailure: false,
      isPartial: false,
    });
    assert.deepEqual(readAnswers(undefined, { a: some('10.0.0.3') }).known, { a: ['10.0.0.3'], aaaa: [] });
  });

  it('change nothing when all queries fail, and say a common reason once', () => {
    const reading = readAnswers(before, { a: failed, aaaa: failed });
    assert.deepEqual(reading, {
      known: before,
      isEmpty: false,
      isFailure: true,
      isPartial: false,
      problem: 'SERVFAIL',
    });
    assert.equal(reading.known, before);
    assert.equal(readAnswers(undefined, { a: failed, aaaa: failed }).known, undefined);
  });

  it('keep the addresses of the type whose query failed', () => {
    assert.deepEqual(readAnswers(before, { a: some('10.0.0.3'), aaaa: failed }), {
      known: { a: ['10.0.0.3'], aaaa: ['fd00::1'] },
      isEmpty: false,
      isFailure: true,
      isPartial: true,
      problem: 'AAAA: SERVFAIL',
    });
  });

  it('make nothing empty while one type is not known', () => {
    const reading = readAnswers({ a: ['10.0.0.1'], aaaa: [] }, { a: none, aaaa: failed });
    assert.deepEqual(reading.known, { a: ['10.0.0.1'], aaaa: [] });
    assert.ok(reading.isFailure && !reading.isEmpty && !reading.isPartial);
  });

  it('are empty when the server says so of all that was asked for', () => {
    const empty = {
      known: { a: [], aaaa: [] },
      isEmpty: true,
      isFailure: false,
      isPartial: false,
      problem: 'no such name',
    };
    assert.deepEqual(readAnswers(before, { a: none, aaaa: none }), empty);
    assert.deepEqual(readAnswers(before, { aaaa: none }), empty);
  });

  it('lead to no unspecified address, as sinkholes give it', () => {
    const { known, problem } = readAnswers(undefined, { a: some('0.0.0.0', '10.0.0.1'), aaaa: some('::') });
    assert.deepEqual(known, { a: ['10.0.0.1'], aaaa: [] });
    assert.match(problem!, /unspecified address is left out/);
  });
});
