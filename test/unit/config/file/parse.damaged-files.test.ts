/** Whatever happens to a file, reading it gives a configuration or problems that point into it; never an exception. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { type ParseResult, parseMeshFile, parseSidecarFile } from '../../../../sidecar/config/file/parse.js';
import { runs } from '../../../kit/mocha/effort.js';
import { packageRoot } from '../../../kit/process/package-root.js';

const good = ['demo', 'resilient', 'sidecar', 'sidecar-on-consul', 'foreign-server'].map((name) =>
  readFileSync(join(packageRoot, 'mesh-config', `${name}.yaml`), 'utf8')
    .split('\n')
    .filter((line) => !/^\s*#/.test(line))
    .join('\n'),
);

function check(result: ParseResult<unknown>, text: string): void {
  const found = result.ok ? result.warnings : result.problems;
  if (!result.ok) assert.ok(found.length > 0, 'refused without a word');
  const lines = text.split(/\r\n|[\r\n]/).length;
  for (const { line, message, path } of found) {
    assert.ok(
      line === undefined || (Number.isInteger(line) && line >= 1 && line <= lines),
      `line ${line} of ${lines}`,
    );
    assert.ok(
      message.length > 0 && !/undefined|\[object|Invalid input|NaN/.test(message),
      `${path}: ${message}`,
    );
  }
}

function checkBoth(text: string): void {
  check(parseSidecarFile(text, 'f.yaml'), text);
  check(parseMeshFile(text, 'f.yaml'), text);
}

describe('damaged files', () => {
  it('that lost, gained or doubled characters are read or refused', () => {
    const junk = fc.oneof(
      fc.constantFrom(
        ...['\t', '\n', ': ', '- ', '{', '[', '"', "'", '&a ', '*a', '!x ', '#', '|', '>', '%', '\0'],
        ...['---\n'],
      ),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.constantFrom(...good), fc.nat(), fc.nat({ max: 30 }), junk, (text, at, cut, more) => {
        const start = at % text.length;
        checkBoth(text.slice(0, start) + more + text.slice(start + cut));
      }),
      { numRuns: runs(40), seed: 1 },
    );
  });

  it('with any value in the place of any other are read or refused', () => {
    const value = fc.oneof(
      fc.constantFrom(
        ...['', '~', '{}', '[]', '0', '-1', '1e9', '.nan', '.inf', 'true', '"*"', '"none"', '"1ms"'],
        ...['[[]]', '{kind: x}', '[{}]', '9007199254740993', '1s', '64KiB', '127.0.0.1:1', 'unix:/a'],
      ),
      fc.jsonValue({ maxDepth: 2 }).map((json) => JSON.stringify(json)),
    );
    fc.assert(
      fc.property(fc.constantFrom(...good), fc.nat(), value, (text, at, more) => {
        const lines = text.split('\n');
        const withValue = lines.flatMap((line, i) => (/^\s*(- )?\w+: \S/.test(line) ? [i] : []));
        const chosen = withValue[at % withValue.length]!;
        lines[chosen] = lines[chosen]!.replace(/: .*$/, `: ${more}`);
        checkBoth(lines.join('\n'));
      }),
      { numRuns: runs(40), seed: 1 },
    );
  });

  it('of any JSON at all are read or refused', () =>
    fc.assert(fc.property(fc.json({ maxDepth: 4 }), checkBoth), { numRuns: runs(50), seed: 1 }));
});
