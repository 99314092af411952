import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { squeezeFolder, squeezeSchemas } from '../../../../tools/pack/squeeze.js';
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

describe('squeezeSchemas', () => {
  const scratch = scratchForEach();

  it('takes whitespace from JSON Schemas, and leaves what they say and other files', () => {
    scratch.write('mesh.schema.json', '{\n  "title": "a  b",\n  "items": [1, 2]\n}\n');
    scratch.write('other.json', '{ }\n');
    squeezeSchemas(scratch.path);
    const read = (name: string) => readFileSync(join(scratch.path, name), 'utf8');
    assert.equal(read('mesh.schema.json'), '{"title":"a  b","items":[1,2]}\n');
    assert.equal(read('other.json'), '{ }\n');
  });
});
