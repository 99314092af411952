import assert from 'node:assert/strict';
import {
  claimsOf,
  modelsValue,
  registeredModels,
} from '../../../../sidecar/discovery/consul/registered-models.js';

describe('The models of a registration', () => {
  it('are the names of the list', () => {
    assert.deepEqual(claimsOf({ models: 'digits:2' }), { models: ['digits'], versions: { digits: ['2'] } });
    assert.deepEqual(claimsOf({ models: 'digits:2,10 filetype:- words:11', outrider: '0.1.0' }), {
      models: ['digits', 'filetype', 'words'],
      versions: { digits: ['2', '10'], words: ['11'] },
    });
    assert.deepEqual([claimsOf({ models: 'digits:-' }), claimsOf({})], [{ models: ['digits'] }, {}]);
  });

  it('are unknown where it has none, is cut off, or has another form', () => {
    const long = `${'m'.repeat(120)}:1 `.repeat(5).slice(0, 512);
    for (const models of ['', 'yes', 'digits', 'digits:2, words:1', 'digits:new', 'a:1  b:1', 'a:1,', long])
      assert.equal(registeredModels({ models }), undefined, models);
    assert.equal(registeredModels({}), undefined);
    assert.equal(registeredModels(Object.create({ models: 'digits:1' })), undefined);
  });

  it('are written with all of their versions, the highest last', () => {
    const models = [
      { name: 'digits', version: '10' },
      { name: 'words', version: '1' },
      { name: 'digits', version: '2' },
      { name: 'other', version: '' },
      { name: 'named', version: 'v2' },
    ];
    assert.equal(modelsValue(models), 'digits:2,10 words:1 other:- named:-');
    const names = registeredModels({ models: modelsValue(models) })!.keys();
    assert.deepEqual([...names], ['digits', 'words', 'other', 'named']);
    assert.equal(modelsValue([]), '');
  });

  it('are written with their highest version where all do not fit, and not at all where that does not fit', () => {
    const of = (models: number, versions: number) =>
      Array.from({ length: models * versions }, (_, i) => ({
        name: `model-${i % models}`,
        version: String(1_000 + Math.floor(i / models)),
      }));
    const highest = modelsValue(of(20, 10));
    assert.match(highest, /^(model-\d+:1009 ?){20}$/);
    assert.equal(modelsValue(of(60, 1)), '');
    for (let models = 1; models < 80; models++) {
      const value = modelsValue(of(models, 3));
      const read = registeredModels({ models: value });
      assert.ok(value.length < 512);
      assert.equal(read?.size ?? 0, value === '' ? 0 : models);
    }
  });

  it('are not written where a name cannot stand in such a list', () => {
    for (const name of ['', 'a b', 'a:b', 'm'.repeat(129), 'a\nb'])
      assert.equal(
        modelsValue([
          { name, version: '1' },
          { name: 'digits', version: '1' },
        ]),
        '',
        name,
      );
  });
});
