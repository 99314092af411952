import assert from 'node:assert/strict';
import { importClosure } from '../../../../tools/pack/import-closure.js';

/** Files by their paths; one that is not there is an error, as on a disk. */
function reader(files: Readonly<Record<string, string>>): (path: string) => string {
  return (path) => {
    const text = files[path];
    if (text === undefined) throw new Error(`no ${path}`);
    return text;
  };
}

describe('importClosure', () => {
  it('follows static, dynamic and re-exporting imports through circles, and names the packages without paths', () => {
    const read = reader({
      'a/main.js': "import './b.js';\nimport fs from 'node:fs';\nexport { x } from '../c.js';\n",
      'a/b.js': "import {\n  one,\n} from '@scope/name/path';\nconst { two } = await import('./d.js');\n",
      'a/d.js': "import './main.js';\nimport three from 'three/sub';\n",
      'c.js': '',
    });
    assert.deepEqual(importClosure(['a/main.js'], read), {
      files: ['a/b.js', 'a/d.js', 'a/main.js', 'c.js'],
      packages: ['@scope/name', 'three'],
    });
  });

  it('follows imports as esbuild writes them', () => {
    const read = reader({ 'a.js': 'import { b as c } from "./b.js";\nimport "package";\n', 'b.js': '' });
    assert.deepEqual(importClosure(['a.js'], read), { files: ['a.js', 'b.js'], packages: ['package'] });
  });

  it('takes no text of a program for an import', () => {
    const text =
      "export const PREFACE = 'PRI * HTTP/2.0';\nexport const from = 'x', of = [from, 'y'];\n// from 'z'\n";
    assert.deepEqual(importClosure(['a.js'], reader({ 'a.js': text })).packages, []);
  });

  it('fails for a file that is not there, instead of packing a program that is not whole', () => {
    assert.throws(() => importClosure(['a.js'], reader({ 'a.js': "import './gone.js';\n" })), /no gone\.js/);
  });
});
