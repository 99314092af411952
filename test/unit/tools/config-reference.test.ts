import assert from 'node:assert/strict';
import { z } from 'zod';
import { renderReference } from '../../../tools/config-reference.js';

describe('the page of every option', () => {
  const block = () => z.object({ depth: z.object({ metres: named() }).optional() });
  const named = () => z.array(z.object({})).optional();
  const page = renderReference('# Intro', [
    {
      title: 'First file',
      about: 'About it.',
      schema: z.object({ a: block(), b: named(), c: named(), d: named() }),
    },
    {
      title: 'Second file',
      about: 'And it.',
      schema: z.object({ x: block(), b: named(), c: named(), d: named() }),
    },
    { title: 'Third file', about: 'And it.', schema: z.object({ b: named(), c: named(), e: named() }) },
  ]);

  it('begins with its contents: the blocks of each file, and those inside them', () =>
    assert.match(
      page,
      /^# Intro\n\n## Contents\n\n\* \[First file\]\(#first-file\)\n {2}\* \[`a`\]\(#a-first-file\): \[`depth`\]\(#adepth-first-file\)/,
    ));

  it('writes a block once, and leads there from where it stands again', () => {
    assert.equal(page.split('### a (first file)').length, 2);
    assert.doesNotMatch(page, /### x/);
    assert.match(page, /^\| `x` \|.*\[block\]\(#a-first-file\)/m);
  });

  it('names three and more options that another file has too, and writes fewer again', () => {
    assert.match(page, /\| `x` .*\n\nAs in \[First file\]\(#first-file\): `b`, `c`, `d`\.\n/);
    assert.match(page.slice(page.indexOf('## Third file')), /^\| `b` .*\n\| `c` .*\n\| `e` /m);
  });
});
