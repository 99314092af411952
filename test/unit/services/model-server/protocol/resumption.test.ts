import assert from 'node:assert/strict';
import type { StreamCall } from '../../../../../services/model-server/protocol/call.js';
import { resumptionOf } from '../../../../../services/model-server/protocol/resumption.js';

describe('the resumption of a stream', () => {
  let announced: Readonly<Record<string, string>>[];
  const call = { announce: (metadata: Readonly<Record<string, string>>) => void announced.push(metadata) };
  const begun = (header: string, isResumable = true) => {
    announced = [];
    const resumption = resumptionOf(header)!;
    resumption.begin(call as StreamCall<unknown>, isResumable);
    return resumption;
  };

  it('leaves out as many answers as the caller has, and says so', () => {
    const resumption = begun('2');
    assert.deepEqual(announced, [{ 'outrider-resumed-from': '2' }]);
    assert.deepEqual(
      [1, 2, 3, 4].map(() => resumption.skips()),
      [true, true, false, false],
    );
  });

  it('leaves out nothing of a model whose answers may be others, and says nothing', () => {
    const resumption = begun('2', false);
    assert.deepEqual([announced.length, resumption.skips()], [0, false]);
  });

  it('refuses a second request: answers to several come in no certain order', () => {
    const resumption = begun('2');
    assert.throws(() => resumption.begin(call as StreamCall<unknown>, true), /a stream of several requests/);
  });

  for (const header of [undefined, '', '0', '-1', '1.5', '1e3', ' 1', 'many', '9'.repeat(40)])
    it(`is not asked for by ${JSON.stringify(header)}`, () => assert.equal(resumptionOf(header), null));
});
