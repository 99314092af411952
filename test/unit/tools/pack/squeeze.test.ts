import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { squeezeFolder } from '../../../../tools/pack/squeeze.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';

describe('squeezeFolder', () => {
  const scratch = scratchForEach();

  it('takes whitespace from modules, and leaves names, short lines, ASCII and other files', async () => {
    const sums = Array.from(
      { length: 60 },
      (_, i) => `export function sumOf${i}(left, right) {\n  return left + right;\n}\n`,
    );
    const text = `// A comment.\n${sums.join('')}\nexport const umlaut = '\\u00fc';\n`;
    scratch.write('package.json', '{ "type": "module" }');
    scratch.write('sums.js', text);
    scratch.write('sums.txt', text);
    await squeezeFolder(scratch.path);
    const squeezed = readFileSync(join(scratch.path, 'sums.js'), 'utf8');
    assert.ok(squeezed.length < 0.9 * text.length, `${squeezed.length} of ${text.length}`);
    assert.ok(squeezed.split('\n').every((line) => line.length <= 260));
    assert.match(squeezed, /^[\0-\x7f]*$/);
    const module = await import(pathToFileURL(join(scratch.path, 'sums.js')).href);
    assert.deepEqual([module.sumOf59(1, 2), module.sumOf59.name, module.umlaut], [3, 'sumOf59', 'ü']);
    assert.equal(readFileSync(join(scratch.path, 'sums.txt'), 'utf8'), text);
  });
});
