import assert from 'node:assert/strict';
import fc from 'fast-check';
import { compileRe2, MAX_TEXT_CHARS, Re2Pattern } from '../../../sidecar/discovery/re2-pattern.js';
import { runs } from '../../kit/mocha/effort.js';

function matches(pattern: string, text: string): boolean | undefined {
  const compiled = compileRe2(pattern);
  if ('fault' in compiled) assert.fail(`${pattern}: ${compiled.fault}`);
  return compiled.test(text);
}

/** Pattern, texts that match as a whole, texts that do not. */
const TABLE: readonly [string, readonly string[], readonly string[]][] = [
  ['', [''], ['a']],
  ['/inference.v2.GRPC/.*', ['/inference.v2.GRPC/X', '/inferenceXv2.GRPC/'], ['x/inference.v2.GRPC/X']],
  ['a|b|', ['a', 'b', ''], ['ab', 'c']],
  ['(ab)+c?', ['ab', 'ababc'], ['', 'abcab']],
  ['a{2}', ['aa'], ['a', 'aaa']],
  ['a{2,}', ['aa', 'aaaa'], ['a']],
  ['a{1,3}b', ['ab', 'aaab'], ['b', 'aaaab']],
  ['a{,3}', ['a{,3}'], ['aaa']],
  ['a{x', ['a{x'], []],
  ['a*?b+?c??', ['aabb', 'bc'], ['a']],
  ['[a-c_-]+', ['a-b_c'], ['d', '']],
  ['[^a-c]', ['d', '\u00e9'], ['a']],
  ['[]x]+', [']x'], ['y']],
  ['[[:alpha:][:digit:]]+', ['aZ9'], ['_', 'a b']],
  ['[[:^digit:]]', ['x'], ['1']],
  ['[\\d\\-x]+', ['1-x'], ['y']],
  ['\\d\\D\\w\\W\\s\\S', ['1xa! y'], ['11a! y']],
  ['\\.\\/\\$\\x41\\x{42}\\t', ['./$AB\t'], []],
  ['(?i)abC', ['abc', 'ABC'], ['abd']],
  ['(?i:a)b', ['Ab', 'ab'], ['aB']],
  ['(?i)[a-c][^x]', ['By', 'cY'], ['dx', 'aX']],
  ['((?i)a)b', ['Ab'], ['AB']],
  ['(?i)a(?-i)b', ['Ab'], ['AB']],
  ['(?P<name>a)(?<other>b)(?:c)', ['abc'], ['ab']],
  ['^a$', ['a'], ['ba']],
  ['\\Aa\\z', ['a'], ['ab']],
  ['a^b', [], ['ab', 'a^b']],
  ['foo\\b.*', ['foo', 'foo-x'], ['foox']],
  ['foo\\B.*', ['foox'], ['foo', 'foo-x']],
  ['.', ['a', '\r'], ['\n', '']],
  ['(?s).', ['\n'], ['']],
  ['(a*)*', ['', 'aaa'], ['b']],
  ['(a|b|ab)*c', ['ababc', 'c'], ['abab']],
  ['()*x(|y)', ['x', 'xy'], ['y']],
  ['\\Qa.b\\E', ['a.b'], ['axb']],
];

const FAULTS: readonly [string, RegExp][] = [
  ['(', /^missing closing \) at "\("$/],
  [')', /^unexpected \) at "\)"$/],
  ['a)b', /unexpected \)/],
  ['*', /^missing argument to repetition operator at "\*"$/],
  ['a|+', /missing argument to repetition operator/],
  ['a**', /invalid nested repetition operator at "\*\*"/],
  ['a{3,2}', /invalid repeat count at "\{3,2\}"/],
  ['a{1001}', /invalid repeat count at "\{1001\}"/],
  ['(a{100}){100}', /invalid repeat count/],
  ['((a?){30}){33}', /^\d{4} steps; expected at most 1000$/],
  ['((((){1000}){1000}){1000}){1000}', /expression too large/],
  ['[', /missing closing \]/],
  ['[b-a]', /invalid character class range at "b-a"/],
  ['[[:nope:]]', /invalid character class range at "\[:nope:\]"/],
  ['\\', /trailing backslash/],
  ['\\pN', /invalid escape sequence at "\\\\p"/],
  ['\\1', /invalid escape sequence at "\\\\1"/],
  ['(?=a)', /invalid or unsupported Perl syntax at "\(\?="/],
  ['(?<!a)', /invalid named capture/],
  ['(?x)a', /Perl syntax at "\(\?x"/],
  ['aé', /outside ASCII at character 2/],
  ['('.repeat(200), /missing closing \)/],
  ['('.repeat(505) + ')'.repeat(505), /^1013 steps; expected at most 1000$/],
  ['a'.repeat(1025), /longer than 1024/],
];

describe('a regular expression of RE2', () => {
  for (const [pattern, yes, no] of TABLE) {
    it(`/${pattern}/ takes ${JSON.stringify(yes)} and not ${JSON.stringify(no)}`, () => {
      for (const text of yes) assert.equal(matches(pattern, text), true, JSON.stringify(text));
      for (const text of no) assert.equal(matches(pattern, text), false, JSON.stringify(text));
    });
  }

  for (const [pattern, fault] of FAULTS) {
    it(`/${pattern.slice(0, 40)}/ is a fault`, () => {
      const compiled = compileRe2(pattern);
      assert.ok('fault' in compiled);
      assert.match(compiled.fault, fault);
    });
  }

  it('an expression of RE2 takes linear time where a backtracking engine takes exponential time', () => {
    const text = `${'a'.repeat(MAX_TEXT_CHARS - 1)}!`;
    assert.equal(matches('(a+)+', text), false);
    assert.equal(matches('(a|a)*(a|aa)+', text), false);
    assert.equal(matches('a+', `${text}a`), undefined);
  });

  it('an expression of RE2 bounds the work of a match: a long program judges short texts only', () => {
    const program = '(a|b)*a(a|b){200}';
    assert.equal(matches(program, 'ba'.repeat(200)), true);
    assert.equal(matches(program, 'ba'.repeat(210)), undefined);
  });

  it('an expression of RE2 agrees with JavaScript on what both know', () => {
    const atom = fc.constantFrom('a', 'b', '.', '[ab]', '[^a]', '\\w', '\\b', '^', '$', '\\d');
    const { pattern } = fc.letrec<{ pattern: string }>((tie) => ({
      pattern: fc.oneof(
        { maxDepth: 4, withCrossShrink: true },
        atom,
        fc.tuple(tie('pattern'), tie('pattern')).map(([a, b]) => a + b),
        fc.tuple(tie('pattern'), tie('pattern')).map(([a, b]) => `(?:${a}|${b})`),
        fc
          .tuple(tie('pattern'), fc.constantFrom('*', '+', '?', '{2}', '{0,2}', '{1,}'))
          .map(([a, suffix]) => `(?:${a})${suffix}`),
      ),
    }));
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '1', '-', ' '), maxLength: 6 });
    fc.assert(
      fc.property(pattern, text, (source, sample) => {
        const expected = new RegExp(`^(?:${source})$`).test(sample);
        assert.equal(matches(source, sample), expected, `${source} on ${JSON.stringify(sample)}`);
      }),
      { numRuns: runs(400) },
    );
  });

  it('an expression of RE2 never throws, whatever it is given', () => {
    const noise = fc.string({ unit: fc.constantFrom(...'ab()[]{}*+?|\\^$.-:,19iPQpx<>=!&é'), maxLength: 24 });
    fc.assert(
      fc.property(noise, noise, (pattern, text) => {
        const compiled = compileRe2(pattern);
        if (!('fault' in compiled)) compiled.test(text);
      }),
      { numRuns: runs(1_000) },
    );
  });
});

describe('A pattern of RE2', () => {
  it('a pattern of RE2 matches whole texts, and no text that is too long to judge', () => {
    const pattern = compileRe2('(?i)a+');
    assert.ok(pattern instanceof Re2Pattern);
    assert.equal(pattern.source, '(?i)a+');
    assert.ok(pattern.test('aAa'));
    assert.ok(!pattern.test('aab'));
    assert.ok(!pattern.test('a'.repeat(MAX_TEXT_CHARS + 1)));
  });

  it('a pattern of RE2 equals another of the same source', () => {
    assert.deepEqual(compileRe2('a+'), compileRe2('a+'));
    assert.notDeepEqual(compileRe2('a+'), compileRe2('a*'));
  });

  it("a pattern of RE2 that is not taken has its fault in RE2's words", () => {
    assert.deepEqual(compileRe2('(a'), { fault: 'missing closing ) at "(a"' });
  });
});
