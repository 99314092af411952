import assert from 'node:assert/strict';
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { CacheFile } from '../../../../../sidecar/discovery/consul/cache/cache-file.js';
import { jsonPieces } from '../../../../../sidecar/discovery/consul/cache/json-writer.js';
import type { Logger } from '../../../../../sidecar/runtime/log/logger.js';
import { scratchForTest } from '../../../../kit/mocha/scratch.js';
import { until } from '../../../../kit/process/processes.js';
import { silentLogger } from '../../../../kit/stack/silent-logger.js';
import { ManualClock } from '../../../../kit/time/manual-clock.js';

const SECTION = 'endpoints of digits@dc1';

describe('the cache file', () => {
  let dir: string;
  let warnings: string[];
  let logger: Logger;
  let clock: ManualClock;

  beforeEach(() => {
    dir = join(scratchForTest().path, 'cache');
    warnings = [];
    logger = { ...silentLogger, warn: (_, message) => void warnings.push(message) };
    clock = new ManualClock();
  });

  const openCache = (): CacheFile => CacheFile.open(dir, logger, clock);
  const files = (): string[] => readdirSync(dir);
  const jsonFile = () => files().find((name) => name.endsWith('.json'));
  const theFile = (): string => join(dir, jsonFile()!);
  const isWritten = () => until('the file is there', () => jsonFile() !== undefined);
  const assertLoads = (value: unknown): void => assert.deepEqual(openCache().load(SECTION), value);
  const write = (value: unknown): void => {
    const cache = openCache();
    cache.save(SECTION, value);
    cache.close();
  };

  it('the cache gives a later process what was saved', () => {
    const value = { instances: [1, 'zwei', null], ünïcode: '😀' };
    write(value);
    assertLoads(value);
    assert.equal(openCache().load('another section'), undefined);
    assert.deepEqual(warnings, []);
  });

  it('the cache keeps directory and files to its user', () => {
    write(1);
    assert.equal(statSync(dir).mode & 0o777, 0o700);
    assert.equal(statSync(theFile()).mode & 0o777, 0o600);
  });

  it('the cache writes a second after the first of several changes, and once', async () => {
    const cache = openCache();
    cache.save(SECTION, 1);
    clock.advance(600);
    cache.save(SECTION, 2);
    clock.advance(399);
    assert.deepEqual(files(), []);
    await clock.settle(10);
    await isWritten();
    assert.equal(openCache().load(SECTION), 2);
  });

  it('the cache gives what was saved a moment ago before it is written', () => {
    const cache = openCache();
    cache.save(SECTION, 'new');
    assert.equal(cache.load(SECTION), 'new');
  });

  it('the cache writes a value that has come back to what is on disk not again', () => {
    write([1, 2]);
    const before = statSync(theFile()).ino;
    const cache = openCache();
    cache.load(SECTION);
    cache.save(SECTION, [1, 2]);
    cache.close();
    assert.equal(statSync(theFile()).ino, before);
  });

  it('the cache lets a flush win over a slower write of something older', async () => {
    const cache = openCache();
    cache.save(SECTION, 'older');
    clock.advance(1_000);
    cache.save(SECTION, ['newer']);
    cache.close();
    cache.save(SECTION, ['after the end']);
    await clock.settle(10);
    assert.deepEqual(openCache().load(SECTION), ['newer']);
    assert.equal(files().length, 1);
  });

  it('the cache flushes what is on its way to the disk too', async () => {
    const cache = openCache();
    cache.save(SECTION, 'value');
    clock.advance(1_000);
    await new Promise(setImmediate); // encoded by now, and handed to the disk
    cache.close();
    assert.equal(openCache().load(SECTION), 'value');
    await until('the slower write gives up', () => files().length === 1);
    assert.deepEqual(warnings, []);
  });

  it('the cache writes one value of a section after the other', async () => {
    const cache = openCache();
    const long = Array.from({ length: 5_000 }, (_, i) => i);
    cache.save(SECTION, long);
    clock.advance(1_000);
    cache.save(SECTION, 'newer');
    clock.advance(1_001);
    const held = async (): Promise<string> => {
      await clock.settle(1);
      return jsonFile() === undefined ? '' : readFileSync(theFile(), 'utf8');
    };
    assert.match(await until('the first is there', held), /4998,4999\]$/);
    await clock.settle(1_000);
    await until('the second is there', async () => (await held()).endsWith('\n"newer"'));
  });

  it('the cache removes a section from the disk', () => {
    write('secret');
    const cache = openCache();
    cache.remove(SECTION);
    assert.deepEqual(files(), []);
    assert.equal(cache.load(SECTION), undefined);
    cache.remove('never there');
  });

  const damages: Readonly<Record<string, (file: Buffer) => Buffer | string>> = {
    'an empty file': () => '',
    'a file cut short': (file) => file.subarray(0, file.length - 3),
    'a flipped bit': (file) =>
      Buffer.from(file.map((byte, at) => (at === file.length - 4 ? byte ^ 1 : byte))),
    'a later version': (file) => file.toString('utf8').replace('cache 1', 'cache 2'),
    'another section': (file) => file.toString('utf8').replace('digits', 'letter'),
    'something else': () => '{"a":1}\n',
    zeros: () => Buffer.alloc(5000),
  };
  for (const [name, damage] of Object.entries(damages)) {
    it(`the cache warns about ${name} and knows nothing, and a later save repairs it`, () => {
      write({ a: 'some value' });
      writeFileSync(theFile(), damage(readFileSync(theFile())));
      assert.equal(openCache().load(SECTION), undefined);
      assert.equal(warnings.length, 1);
      assert.match(warnings[0]!, /^a cache file is ignored: it|^a cache file is ignored: its/);
      write({ a: 'repaired' });
      assert.deepEqual(openCache().load(SECTION), { a: 'repaired' });
    });
  }

  it('the cache ignores a file that others may write, and one that is a link', () => {
    write(1);
    chmodSync(theFile(), 0o666);
    assert.equal(openCache().load(SECTION), undefined);
    assert.match(warnings[0]!, /mode 0666; others must not write it/);
    const path = theFile();
    rmSync(path);
    writeFileSync(join(dir, '..', 'elsewhere'), 'x');
    symlinkSync(join(dir, '..', 'elsewhere'), path);
    assert.equal(openCache().load(SECTION), undefined);
    assert.equal(warnings.length, 2);
  });

  it('the cache does without a directory that others may write, or that is none', () => {
    mkdirSync(dir);
    chmodSync(dir, 0o777);
    write(1);
    assert.match(warnings[0]!, /^the cache is not used: it has mode 0777/);
    assert.deepEqual(files(), []);
    rmSync(dir, { recursive: true });
    writeFileSync(dir, '');
    write(1);
    assert.match(warnings[1]!, /^the cache is not used: /);
  });

  it('the cache logs once that it cannot write, and keeps what the disk had', () => {
    write('old');
    const cache = openCache();
    rmSync(dir, { recursive: true });
    for (const value of ['new', 'newer']) {
      cache.save(SECTION, value);
      cache.flush();
    }
    assert.deepEqual(warnings, ['the cache cannot be written, what it held stays: ENOENT']);
  });

  it('the cache tries again a minute after it could not write', async () => {
    const cache = openCache();
    rmSync(dir, { recursive: true });
    cache.save(SECTION, 'value');
    await clock.settle(2_000);
    await until('the warning', () => warnings.length === 1);
    mkdirSync(dir, { mode: 0o700 });
    await clock.settle(60_000);
    await isWritten();
  });

  it('the cache does without its directory while something else has its place, and writes again after it', async () => {
    const cache = openCache();
    rmSync(dir, { recursive: true });
    writeFileSync(dir, 'no directory');
    cache.save(SECTION, 'value');
    await clock.settle(2_000);
    await until('the warning', () => warnings.length === 1);
    assert.deepEqual(warnings, ['the cache cannot be written, what it held stays: ENOTDIR']);
    rmSync(dir);
    mkdirSync(dir, { mode: 0o700 });
    await clock.settle(60_000);
    await isWritten();
    assertLoads('value');
  });

  it('the cache clears away what a killed process left half-written', () => {
    write(1);
    writeFileSync(`${theFile()}.0123456789ab`, 'half');
    writeFileSync(join(dir, 'notes.txt'), 'not ours');
    openCache();
    const others = files().filter((name) => !name.endsWith('.json'));
    assert.deepEqual(others, ['notes.txt']);
  });
});

describe('JSON in pieces', () => {
  const long = Array.from({ length: 1001 }, (_, i) => ({ i, name: `"${i}"` }));
  for (const [name, value] of Object.entries({
    'a long array': long,
    'an object with long arrays': { a: 1, gone: undefined, list: long, empty: [], fn: undefined, also: long },
    'a short one': [1, undefined, null],
    'an object': { a: { b: [1] } },
    'an array of odd things': Array.from({ length: 300 }, (_, i) => (i % 3 === 0 ? undefined : i)),
    text: 'x',
  })) {
    it(`JSON in pieces is what JSON.stringify gives: ${name}`, () => {
      const pieces = [...jsonPieces(value)];
      assert.equal(pieces.join(''), JSON.stringify(value));
      assert.ok(pieces.every((piece) => piece.length < 20_000));
    });
  }

  it('JSON in pieces is null for undefined', () => assert.deepEqual([...jsonPieces(undefined)], ['null']));
});
