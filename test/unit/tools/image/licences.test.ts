import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { licencesOf, ownerIn, sharedTexts } from '../../../../tools/image/licences.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';

describe('the licence texts of an image', () => {
  const scratch = scratchForEach();

  it('are found by the package that dpkg names', () => {
    assert.equal(ownerIn('libc6:amd64: /lib/x86_64-linux-gnu/libc.so.6\n'), 'libc6');
    assert.equal(ownerIn('libstdc++6:amd64: /usr/lib/libstdc++.so.6\n'), 'libstdc++6');
    assert.equal(ownerIn('diversion by dash from: /bin/sh\ndash: /bin/sh\n'), 'dash');
    assert.equal(ownerIn('dpkg-query: no path found\n'), undefined);
  });

  it('have the texts that a copyright file refers to, each once', () => {
    const text =
      "see `/usr/share/common-licenses/GPL-3'.\nAlso /usr/share/common-licenses/LGPL-2.1. /usr/share/common-licenses/GPL-3";
    assert.deepEqual(sharedTexts(text), [
      '/usr/share/common-licenses/GPL-3',
      '/usr/share/common-licenses/LGPL-2.1',
    ]);
  });

  it('of a program of no package are the LICENSE of its archive, if it has one', () => {
    mkdirSync(join(scratch.path, 'node/bin'), { recursive: true });
    const program = scratch.write('node/bin/node', '');
    assert.deepEqual(licencesOf(program), []);
    const licence = scratch.write('node/LICENSE', 'text');
    assert.deepEqual(licencesOf(program), [licence]);
  });
});
