import assert from 'node:assert/strict';
import { inspectText } from '../../../../sidecar/cluster/output-check/text-answer.js';
import { aTextAnswer } from '../../../kit/service/infer-answers.js';
import { kept } from '../../../kit/service/infer-requests.js';

const look = (text: string, seed = 7) => inspectText(kept(aTextAnswer(text)), seed);

describe('An answer of TorchServe under inspection', () => {
  it('with a number that is none is flawed', () => {
    for (const text of [
      '[NaN]',
      '{"score": NaN}',
      '[0.5, -Infinity]',
      'NaN',
      ' {"a":[1,NaN,2]}',
      '[1,\n Infinity\n]',
    ])
      assert.match(look(text)?.flaw ?? 'unread', /NaN or infinite/, text);
  });

  it('without one is in order, also where such a word is part of a string', () => {
    for (const text of ['[0.5, 1]', '{"NaN": 1}', '{"name": "NaNcy"}', '"Infinity"', 'null', '{}'])
      assert.equal(look(text)?.flaw, '', text);
  });

  it('that is no such text, or none at all, is not read', () => {
    for (const text of ['', 'a cat', '\u0000\u0001', '<p>NaN</p>']) assert.equal(look(text), undefined, text);
    assert.equal(inspectText(kept(Buffer.from([1, 0, 0, 0, 0])), 7), undefined);
    assert.equal(inspectText(kept(Buffer.alloc(0)), 7), undefined);
  });

  it('of a long text a window is read, and all of it can be searched', () => {
    const long = (n: number, last: string): string => `[${'0.125, '.repeat(n)}${last}]`;
    const { flaw, rest } = look(long(60_000, 'NaN'), 0)!;
    assert.equal(flaw, '');
    const end = (search: typeof rest): boolean | undefined => {
      for (let i = 0; i < 100; i++) {
        const isOdd = search!.step();
        if (isOdd !== undefined) return isOdd;
      }
      return undefined;
    };
    assert.equal(end(rest), true);
    assert.equal(end(look(long(60_000, '1'), 0)!.rest), false);
    for (let n = 9_300; n < 9_420; n += 1) {
      const search = look(long(n, 'NaN'), 0)!;
      assert.ok(search.flaw !== '' || end(search.rest) === true, `${n}: a word on the border`);
    }
  });
});
