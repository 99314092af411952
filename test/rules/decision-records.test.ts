import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../kit/process/package-root.js';

const FOLDER = join(packageRoot, 'sidecar/decisions');

describe('decision records', () => {
  const records = readdirSync(FOLDER).filter((name) => /^\d{4}-.*\.md$/.test(name));

  it('have a number each', () => {
    const numbers = records.map((name) => name.slice(0, 4));
    const twice = numbers.filter((number, i) => numbers.indexOf(number) !== i);
    assert.ok(records.length > 0);
    assert.deepEqual(twice, []);
  });

  it('are in the index, each once', () => {
    const index = readFileSync(join(FOLDER, 'README.md'), 'utf8');
    const linked = [...index.matchAll(/\]\((\d{4}-[^)]+\.md)\)/g)].map(([, name]) => name);
    assert.deepEqual(linked.sort(), records.sort());
  });
});
