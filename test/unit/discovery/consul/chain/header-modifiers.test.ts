import assert from 'node:assert/strict';
import { headerEditsIn } from '../../../../../sidecar/discovery/consul/chain/header-modifiers.js';

/** What is applied of the modifiers, and what is said of the rest. */
function read(json: Record<string, unknown>) {
  const refused: string[] = [];
  return { edits: headerEditsIn(json, (why) => refused.push(why)), refused };
}

describe('header modifiers of Consul', () => {
  it('are read with names in lower case and doubled percent signs as one', () => {
    const { edits, refused } = read({ Set: { 'X-A': '5%%' }, Add: { b: 'c' }, Remove: ['X-D'] });
    assert.deepEqual(edits, { remove: ['x-d'], set: [['x-a', '5%']], add: [['b', 'c']] });
    assert.deepEqual(refused, []);
  });

  it('are refused one by one, and the others stay', () => {
    const { edits, refused } = read({
      Set: { 'x-ip': '%DOWNSTREAM_REMOTE_ADDRESS%', 'x-b': '1' },
      Remove: ['te'],
    });
    assert.deepEqual(edits, { remove: [], set: [['x-b', '1']], add: [] });
    assert.deepEqual(refused, [
      'Remove "te" is not applied: it belongs to HTTP/2, gRPC or the mesh',
      'Set "x-ip" is not applied: variables of Envoy have no counterpart',
    ]);
  });

  it('that say nothing are none', () => {
    assert.equal(headerEditsIn(undefined, assert.fail), undefined);
    for (const json of [{}, { Set: {}, Remove: [] }, { Set: 5, Add: [], Remove: 'x' }])
      assert.equal(headerEditsIn(json, assert.fail), undefined);
  });
});
