import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { makeModels } from '../../../../services/fetch/build.js';
import type { BuiltModel, Recipe } from '../../../../services/fetch/recipe.js';
import { parseCard } from '../../../../services/model-server/models/card.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';

const golden = {
  tolerance: 0.001,
  inputs: { x: { shape: [1, 20], values: Array.from({ length: 20 }, (_, i) => i / 2) } },
  outputs: { y: { values: ['a', 'b'] } },
};

describe('making the models of a recipe', () => {
  const scratch = scratchForEach();
  const built = (content: string): BuiltModel => ({
    model: 'm',
    version: '3',
    files: { 'model.onnx': content, 'words.txt': 'w' },
    card: {
      description: 'A "model": of tests',
      properties: { kind: 'text' },
      keys: { labels: ['1', 'no', 'b'] },
      golden,
    },
  });
  let builds: number;
  let content: string;
  const recipe = (): Recipe => ({
    name: 'r',
    code: pathToFileURL(`${join(scratch.path, 'code')}/`),
    sources: [{ registry: 'npm', name: 'p', version: '1.2.3', licence: 'MIT', files: [] }],
    build: async () => {
      builds += 1;
      return [built(content)];
    },
  });
  const place = () => ({ cache: scratch.path, code: [] });
  const folder = (): string => join(scratch.path, 'models/r');
  const onnx = (): string => join(folder(), 'm/3/model.onnx');
  beforeEach(() => {
    builds = 0;
    content = 'one';
    mkdirSync(join(scratch.path, 'code'));
    writeFileSync(join(scratch.path, 'code/a.js'), '1');
  });

  it('writes files and a card that the model server takes', async () => {
    const outcome = await makeModels(recipe(), place());
    assert.equal(outcome.state, 'made');
    assert.equal(outcome.folder, folder());
    assert.deepEqual(readdirSync(join(folder(), 'm/3')).sort(), ['model.onnx', 'model.yaml', 'words.txt']);
    const card = parseCard(readFileSync(join(folder(), 'm/3/model.yaml'), 'utf8'));
    assert.equal(card.description, 'A "model": of tests');
    assert.equal(card.sha256, createHash('sha256').update('one').digest('hex'));
    assert.deepEqual(card.labels, ['1', 'no', 'b']);
    assert.deepEqual(card.properties, { source: 'npm p 1.2.3', licence: 'MIT', kind: 'text' });
    assert.deepEqual(card.golden, golden);
  });

  it('does nothing when what is there matches', async () => {
    const { bytes } = await makeModels(recipe(), place());
    assert.deepEqual(await makeModels(recipe(), place()), { state: 'there', folder: folder(), bytes });
    assert.equal(builds, 1);
  });

  it('makes them anew when a file has changed or is gone, and when its code has changed', async () => {
    await makeModels(recipe(), place());
    writeFileSync(onnx(), 'two');
    assert.equal((await makeModels(recipe(), place())).state, 'made');
    assert.equal(readFileSync(onnx(), 'utf8'), 'one');
    rmSync(join(folder(), 'm/3/words.txt'));
    assert.equal((await makeModels(recipe(), place())).state, 'made');
    content = 'three';
    writeFileSync(join(scratch.path, 'code/a.js'), '2');
    assert.equal((await makeModels(recipe(), place())).state, 'made');
    assert.equal(readFileSync(onnx(), 'utf8'), 'three');
  });

  it('leaves what was there when a recipe fails, and no file beside it', async () => {
    await makeModels(recipe(), place());
    writeFileSync(join(scratch.path, 'code/a.js'), '3');
    const failing = { ...recipe(), build: () => Promise.reject(new Error('no such layer')) };
    await assert.rejects(makeModels(failing, place()), /no such layer/);
    assert.equal(readFileSync(onnx(), 'utf8'), 'one');
    assert.deepEqual(readdirSync(join(scratch.path, 'models')), ['r']);
  });

  it('makes them once when several ask at the same time', async () => {
    const outcomes = await Promise.all([1, 2, 3].map(() => makeModels(recipe(), place())));
    assert.equal(builds, 1);
    assert.deepEqual(outcomes.map(({ state }) => state).sort(), ['made', 'there', 'there']);
  });

  it('names the file of a source that no source has', async () => {
    const wrong: Recipe = { ...recipe(), build: async (read) => [built(String(await read('x')))] };
    await assert.rejects(makeModels(wrong, place()), { message: 'r: no source has x' });
  });

  it('writes the module of a model in code relative to its card', async () => {
    const code = pathToFileURL(join(scratch.path, 'dist/model.js'));
    const inCode = { ...built('x'), card: { ...built('x').card, code } };
    await makeModels({ ...recipe(), build: async () => [inCode] }, place());
    const text = readFileSync(join(folder(), 'm/3/model.yaml'), 'utf8');
    assert.match(text, /^code: \.\.\/\.\.\/\.\.\/\.\.\/dist\/model\.js$/m);
  });
});
