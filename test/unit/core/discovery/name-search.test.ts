import assert from 'node:assert/strict';
import type { RecordAnswer } from '../../../../sidecar/core/discovery/dns-answer.js';
import { candidatesOf, NameSearch, otherName } from '../../../../sidecar/core/discovery/name-search.js';
import { readResolvConf } from '../../../../sidecar/core/discovery/resolv-conf.js';

const POD = readResolvConf('search ns.svc.test svc.test corp.test\noptions ndots:5', {
  hostname: '',
  env: {},
});

describe('the candidates for a name', () => {
  const of = (name: string, ndots = 5, search = POD.search) => candidatesOf(name, { ...POD, ndots, search });

  it('are completed first while the name has fewer dots than ndots, and come last then', () => {
    const completed = ['digits.models.ns.svc.test', 'digits.models.svc.test', 'digits.models.corp.test'];
    assert.deepEqual(of('digits.models'), [...completed, 'digits.models']);
    assert.deepEqual(of('digits.models', 1), ['digits.models', ...completed]);
    assert.deepEqual(of('digits', 1).at(-1), 'digits');
    assert.deepEqual(of('digits', 0)[0], 'digits');
  });

  it('are the name alone where a dot ends it, or nothing completes it', () => {
    assert.deepEqual(of('digits.models.'), ['digits.models']);
    assert.deepEqual(of('digits', 5, []), ['digits']);
  });

  it('are each asked for once, and none that is too long', () => {
    assert.deepEqual(of('digits', 5, ['', 'a.test', '']), ['digits', 'digits.a.test']);
    const long = 'a'.repeat(250);
    assert.deepEqual(of(long, 1, ['b', 'too.long']), [`${long}.b`, long]);
  });
});

describe('the name that was found', () => {
  it('is shown where it is not the one that is asked for, with or without a dot at its end', () => {
    assert.equal(otherName('digits', 'digits.ns.svc.test'), 'digits.ns.svc.test');
    assert.equal(otherName('digits.test', 'digits.test'), undefined);
    assert.equal(otherName('digits.test.', 'digits.test'), undefined);
    assert.equal(otherName('digits.test.', '/etc/hosts'), '/etc/hosts');
    assert.equal(otherName('digits', undefined), undefined);
  });
});

describe('the search for a name', () => {
  const some: RecordAnswer = { kind: 'addresses', addresses: ['10.0.0.1'] };
  const absent: RecordAnswer = { kind: 'none', why: 'NXDOMAIN', isName: false };
  const empty: RecordAnswer = { kind: 'none', why: 'no address', isName: true };
  const failed: RecordAnswer = { kind: 'failed', why: 'SERVFAIL' };

  /** Asks in order, each A record as told and no AAAA record. */
  function run(answers: readonly RecordAnswer[], before?: string) {
    const search = new NameSearch(
      ['x.one', 'x.two', 'x.three'].slice(0, Math.max(answers.length, 1)),
      before,
    );
    for (const [i, a] of answers.entries()) {
      assert.ok(search.next() !== undefined, 'there is no further name');
      const result = search.take({ a, aaaa: a.kind === 'addresses' ? empty : a });
      if (result !== undefined) return { asked: i + 1, ...result };
    }
    throw new Error('the search has no end');
  }

  it('knows how many names are left', () => {
    const search = new NameSearch(['x.one', 'x.two']);
    const left = [search.left];
    while (search.next() !== undefined) left.push(search.left);
    assert.deepEqual(left, [2, 1, 0]);
  });

  it('ends at the first candidate with an address', () => {
    const { asked, found, answers } = run([absent, some, some]);
    assert.deepEqual([asked, found, answers.a], [2, 'x.two', some]);
  });

  it('goes on where a name does not exist, has no address, or cannot be found out', () => {
    for (const each of [absent, empty, failed]) assert.equal(run([each, each, some]).found, 'x.three');
  });

  it('says that there is no such name, and which names those were', () => {
    assert.equal(run([absent]).answers.a, absent);
    const { found, answers } = run([absent, absent, absent]);
    assert.equal(found, undefined);
    assert.deepEqual(answers.a, { ...absent, why: 'NXDOMAIN: x.three, and 2 before it' });
  });

  it('says rather of a name that it has no address than of another that it does not exist', () => {
    const { found, answers } = run([empty, absent, absent]);
    assert.deepEqual(answers.a, { ...empty, why: 'no address: x.one' });
    assert.equal(found, undefined);
  });

  it('has failed where no name has an address and one could not be found out', () => {
    const { answers } = run([failed, absent, absent]);
    assert.deepEqual(answers.a, { kind: 'failed', why: 'x.one: SERVFAIL' });
  });

  it('does not go past the name found before, unless that is gone', () => {
    assert.deepEqual(run([absent, empty, some], 'x.two').found, 'x.two');
    assert.equal(run([absent, empty, some], 'x.two').asked, 2);
    assert.deepEqual(run([absent, failed, some], 'x.two').answers.a, failed);
    assert.equal(run([absent, absent, some], 'x.two').found, 'x.three');
  });

  it('takes an earlier name that has come to be', () => {
    assert.equal(run([some, some, some], 'x.two').found, 'x.one');
  });

  it('finds the name found before again although an earlier one fails, and no other one', () => {
    assert.equal(run([failed, some], 'x.two').found, 'x.two');
    const other = run([failed, absent, some], 'x.two');
    assert.deepEqual([other.found, other.answers.a], [undefined, { kind: 'failed', why: 'x.one: SERVFAIL' }]);
  });
});
