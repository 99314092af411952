/** One declaration gives both: what code reads of a file, and the file again. */
import assert from 'node:assert/strict';
import { z } from 'zod';
import type { CodeOf } from '../../../sidecar/config/names.js';
import { fromFile, toFile } from '../../../sidecar/config/names-codec.js';
import { block, inCode, option } from '../../../sidecar/config/options/option.js';
import {
  choice,
  duration,
  durationOrNone,
  filePath,
  flag,
  listenAddress,
  name,
  size,
  wholeNumber,
  wholeNumberOrNone,
} from '../../../sidecar/config/options/values.js';

const DOC = { meaning: '', why: '' };
const times = { min: 0, max: 3_600_000 };
const bytes = { min: 0, max: 1_048_576 };

const room = inCode(
  block({ max_waiting_bytes: option(size(bytes), DOC), seats: option(wholeNumber(bytes).optional(), DOC) }),
  (said, name) => ({ ...said, name, seats: said.seats ?? said.maxWaitingBytes / 1_024 }),
);

const house = block({
  drain_timeout: option(duration(times), DOC),
  idle_timeout: option(durationOrNone(times).prefault('none'), DOC),
  memory_budget: option(size(bytes).optional(), DOC),
  max_calls: option(wholeNumberOrNone({ min: 1, max: 9 }).prefault('none'), DOC),
  run_dir: option(filePath('a directory').optional(), DOC),
  listen: option(listenAddress().optional(), DOC),
  fair: option(flag(), DOC),
  rooms: option(z.record(name('a room'), room), DOC),
  plain_rooms: option(z.record(name('a room'), block({ kind: option(choice(['a', 'b']), DOC) })), DOC),
  env: option(z.record(z.string(), z.string()).prefault({}), DOC),
});

const FILE: z.input<typeof house> = {
  drain_timeout: '1500ms',
  memory_budget: '64KiB',
  run_dir: 'run',
  listen: 'unix:a.sock',
  fair: true,
  rooms: { small: { max_waiting_bytes: '1KiB' }, large: { max_waiting_bytes: '4KiB', seats: 1 } },
  plain_rooms: { first: { kind: 'b' } },
  env: { SOME_NAME: 'x' },
};

describe('names in code', () => {
  const read = (file: z.input<typeof house>): CodeOf<typeof house> =>
    fromFile(house, house.parse(file), '/etc');

  it('are camel case with the unit of the value at the end, unless the name says it', () => {
    const { drainTimeoutMs, idleTimeoutMs, memoryBudgetBytes, maxCalls, rooms } = read(FILE);
    assert.deepEqual([drainTimeoutMs, idleTimeoutMs, memoryBudgetBytes, maxCalls], [1500, 0, 65_536, 0]);
    assert.equal(rooms[0]!.maxWaitingBytes, 1024);
  });

  it('of blocks in a map stand inside them, in the order of the file; other maps stay maps', () => {
    const { rooms, plainRooms, env } = read(FILE);
    assert.deepEqual(
      rooms.map((each) => each.name),
      ['small', 'large'],
    );
    assert.deepEqual(plainRooms, [{ name: 'first', kind: 'b' }]);
    assert.deepEqual(env, { SOME_NAME: 'x' });
  });

  it('of options that are absent are absent', () => {
    const config = read({ drain_timeout: '1s', rooms: {}, plain_rooms: {} });
    assert.deepEqual(Object.keys(config).sort(), [
      'drainTimeoutMs',
      'env',
      'idleTimeoutMs',
      'maxCalls',
      'plainRooms',
      'rooms',
    ]);
  });

  it('hold paths below the directory of the file', () => {
    const { runDir, listen } = read(FILE);
    assert.deepEqual([runDir, listen], ['/etc/run', { kind: 'unix', path: '/etc/a.sock' }]);
    assert.equal(read({ ...FILE, run_dir: '/run/x' }).runDir, '/run/x');
  });

  it('hold what a block computes from its other options', () => {
    assert.deepEqual(
      read(FILE).rooms.map(({ seats }) => seats),
      [1, 1],
    );
    const five = { max_waiting_bytes: '5KiB' };
    assert.equal(read({ ...FILE, rooms: { five } }).rooms[0]!.seats, 5);
  });

  it('lead back to the file', () => {
    assert.deepEqual(toFile(house, read(FILE)), {
      ...FILE,
      drain_timeout: '1500ms',
      idle_timeout: 'none',
      max_calls: 'none',
      run_dir: '/etc/run',
      listen: 'unix:/etc/a.sock',
      rooms: {
        small: { max_waiting_bytes: '1KiB', seats: 1 },
        large: { max_waiting_bytes: '4KiB', seats: 1 },
      },
    });
    assert.throws(() => toFile(house, { ...read(FILE), drainTimeoutMs: 0.5 }), RangeError);
    assert.throws(() => toFile(house, { ...read(FILE), maxCalls: 10 }), z.ZodError);
  });
});
