/** What can be wrong with a file before it is asked what it says. */
import assert from 'node:assert/strict';
import {
  MAX_FILE_BYTES,
  readYaml,
  type YamlDocument,
} from '../../../../sidecar/config/file/yaml-document.js';
import { formatProblems } from '../../../../sidecar/config/problem.js';

function documentOf(text: string): YamlDocument {
  const result = readYaml(text, 'f.yaml');
  assert.ok(result.ok, result.ok ? '' : formatProblems(result.problems));
  return result.document;
}

function problemsOf(text: string): string[] {
  const result = readYaml(text, 'f.yaml');
  assert.ok(!result.ok, 'was accepted');
  return formatProblems(result.problems).split('\n');
}

describe('reading YAML', () => {
  it('gives plain values without a prototype', () => {
    const { value } = documentOf('a: {b: [1, two, true, ~], c: 1.5}');
    assert.equal(JSON.stringify(value), '{"a":{"b":[1,"two",true,null],"c":1.5}}');
    assert.equal(Object.getPrototypeOf(value), null);
  });

  it('keeps the words that other YAML versions turn into booleans and numbers', () => {
    const { value } = documentOf('on: no\nyes: off\nwhen: 12:30:00\nsince: 2026-11-24');
    assert.equal(JSON.stringify(value), '{"on":"no","yes":"off","when":"12:30:00","since":"2026-11-24"}');
  });

  it('follows an alias to its anchor', () => {
    const { value } = documentOf('a: &routes [x]\nb: *routes');
    assert.equal(JSON.stringify(value), '{"a":["x"],"b":["x"]}');
  });

  it('reads a file with a byte order mark and Windows line ends, and still counts lines', () => {
    const document = documentOf('\ufeffa: 1\r\nb:\r\n  c: 2\r\n');
    assert.equal(document.lineOf(['b', 'c']), 3);
  });

  it('knows the line of values, of keys, of list items and of what is missing', () => {
    const document = documentOf('a:\n  b:\n    - x\n    - y: 1\n      z:\n        2\n');
    assert.equal(document.lineOf(['a', 'b', 1, 'z']), 6);
    assert.equal(document.lineOfKey(['a', 'b', 1, 'z']), 5);
    assert.equal(document.lineOf(['a', 'b', 0]), 3);
    assert.equal(document.lineOf(['a', 'b', 1, 'missing', 'deeper']), 4);
    assert.equal(document.lineOf(['nothing']), 1);
  });

  it('knows how a scalar was spelled', () => {
    const document = documentOf('a: 007\nb: 0x10\nc: [1]');
    assert.equal(document.sourceOf(['a']), '007');
    assert.equal(document.sourceOf(['b']), '0x10');
    assert.equal(document.sourceOf(['c']), undefined);
    assert.equal(document.sourceOf(['d']), undefined);
  });
});

describe('refusing YAML', () => {
  for (const [what, text] of [
    ['nothing', ''],
    ['white space', ' \n\n'],
    ['comments only', '# a\n# b\n'],
    ['a lone null', '~'],
    ['a document mark', '---\n'],
  ])
    it(`says that ${what} is an empty file`, () =>
      assert.deepEqual(problemsOf(text!).map(withoutLine), ['f.yaml: the file is empty']));

  it('names each key that stands twice, with the line of the second', () =>
    assert.deepEqual(problemsOf('a: 1\nb: {c: 1, c: 2}\na: 3\n'), [
      'f.yaml:2: b.c: found a second time; expected each key once',
      'f.yaml:3: a: found a second time; expected each key once',
    ]));

  it('says where a tab is used as indentation', () =>
    assert.deepEqual(problemsOf('a:\n\tb: 1\n'), [
      'f.yaml:2: not valid YAML: found a tab as indentation; expected spaces',
    ]));

  it('refuses several documents in one file', () =>
    assert.deepEqual(problemsOf('a: 1\n---\nb: 2\n'), [
      'f.yaml:2: found a second document ("---"); expected one per file',
    ]));

  it('refuses another YAML version, in which words mean other things', () =>
    assert.match(problemsOf('%YAML 1.1\n---\na: yes')[0]!, /found YAML 1.1; expected YAML 1.2/));

  for (const tag of ['!foo x', '!!binary aGk=', '!!set {a}', '!!timestamp 2026-01-01'])
    it(`refuses the tag of ${tag}`, () => assert.match(problemsOf(`a: ${tag}`)[0]!, /tag/i));

  it('accepts the tags that say what is so anyway', () =>
    assert.equal(JSON.stringify(documentOf('a: !!str 5').value), '{"a":"5"}'));

  it('refuses keys that are not text', () => {
    for (const text of ['8500: x', 'true: x', '? [a]\n: b', '? {a: 1}\n: b', '~: x', '__proto__: x'])
      assert.match(problemsOf(text)[0]!, /found the key/, text);
  });

  it('does not let a key change what objects are', () => {
    problemsOf('__proto__: {admin: x}');
    assert.equal(({} as Record<string, unknown>)['admin'], undefined);
    assert.equal(
      JSON.stringify(documentOf('constructor: 1\nhasOwnProperty: 2').value),
      '{"constructor":1,"hasOwnProperty":2}',
    );
  });

  it('refuses aliases without an anchor before them', () => {
    assert.match(problemsOf('a: *b\nb: &b 1')[0]!, /alias/i);
    assert.match(problemsOf('a: *b')[0]!, /alias/i);
  });

  it('refuses an alias inside what it stands for', () => {
    assert.deepEqual(problemsOf('a: &a\n  b: *a\n'), [
      'f.yaml:2: a.b: found the alias "*a" inside what it stands for',
    ]);
    assert.match(problemsOf('&a [*a]')[0]!, /inside what it stands for/);
  });

  it('treats a merge key as an ordinary key', () =>
    assert.equal(
      JSON.stringify(documentOf('a: &a {x: 1}\nb: {<<: *a}').value),
      '{"a":{"x":1},"b":{"<<":{"x":1}}}',
    ));

  it('stops aliases that multiply, quickly', () => {
    const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
    for (let i = 1; i < 20; i++) lines.push(`a${i}: &a${i} [${`*a${i - 1}, `.repeat(10)}]`);
    assert.deepEqual(problemsOf(lines.join('\n')).length, 1);
    assert.match(problemsOf(lines.join('\n'))[0]!, /more than 100000 values once aliases are followed/);
  });

  it('stops nesting that would exhaust the stack', () => {
    for (const depth of [40, 5_000, 100_000]) {
      const problems = problemsOf(`a: ${'['.repeat(depth)}${']'.repeat(depth)}`);
      assert.equal(problems.length, 1);
      assert.match(problems[0]!, /nested too deep; expected at most 32 levels/);
    }
  });

  it('says of a thousand mistakes only the first twenty', () => {
    const text = Array.from({ length: 1_000 }, () => 'a: 1').join('\n');
    assert.equal(problemsOf(text).length, 20);
  });

  it('refuses a file over one MiB without parsing it', () =>
    assert.deepEqual(problemsOf(`# ${'x'.repeat(MAX_FILE_BYTES)}`), [
      `f.yaml: found ${MAX_FILE_BYTES + 2} bytes; expected at most 1048576 (1MiB)`,
    ]));

  it('reads fifteen thousand distinct keys without comparing each with every other', () => {
    // The library's own check for duplicates is quadratic and takes 3 s and more here; it must stay off.
    const text = Array.from({ length: 15_000 }, (_, i) => `k${i}: 1`).join('\n');
    const before = process.cpuUsage();
    documentOf(text);
    const { user } = process.cpuUsage(before);
    assert.ok(user < 2_500_000, `took ${user} µs of CPU`);
  });

  for (const text of [
    ...['a: [1, 2', 'a: {b: 1', 'a: "x', "a: 'x", 'a: b: c', '- a\nb: c', '\0', 'a: \u0001', '}', '&'],
    ...['*', '%', '@a', 'a:\n b: 1\n  c: 2'],
  ])
    it(`gives a problem or a value, and no exception, for ${JSON.stringify(text)}`, () => {
      const result = readYaml(text, 'f.yaml');
      if (!result.ok) assert.match(formatProblems(result.problems), /^f\.yaml(:\d+)?: ./);
    });
});

function withoutLine(problem: string): string {
  return problem.replace(/:\d+:/, ':');
}
