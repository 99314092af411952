import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { memoryLine, memoryNeed } from '../../../../sidecar/cli/up/memory-need.js';
import { Scratch } from '../../../kit/process/outrider.js';

const GIB = 1024 ** 3;
const MIB = 1024 ** 2;

describe('the memory that a mesh needs', () => {
  let scratch: Scratch;
  beforeEach(() => {
    scratch = new Scratch();
  });
  afterEach(() => scratch.remove());

  const put = (name: string, version: string, card: string) => {
    const directory = join(scratch.path, name, version);
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'model.yaml'), card);
  };
  const service = (over = {}) => ({
    name: 's',
    replicas: 2,
    server: { kind: 'models', dir: scratch.path, isolation: 'process', instances: 3, ...over } as const,
  });

  it('is that of every process of every replica, by the card of the highest version', () => {
    put('a', '1', 'memory: 1GiB\n');
    put('a', '10', 'description: x\nmemory: 100MiB # measured\nproperties:\n  memory: 7GiB\n');
    put('b', '1', "memory: '50MiB'\n");
    const need = memoryNeed([service()]);
    assert.deepEqual(need, {
      modelBytes: 2 * 3 * 150 * MIB,
      modelProcesses: 12,
      sidecarBytes: 3 * 90 * MIB,
      sidecars: 3,
      unstated: [],
    });
  });

  it('names the models whose cards do not say it, or say what is no size', () => {
    put('a', '1', 'golden: {}\n');
    put('b', '1', 'memory: much\n');
    put('c', '1', 'memory: 100MiB\n');
    mkdirSync(join(scratch.path, 'd/1'), { recursive: true });
    const need = memoryNeed([service({ instances: 1 })]);
    assert.deepEqual([need.unstated, need.modelProcesses], [['a', 'b', 'd'], 2]);
    assert.match(memoryLine(need, 8 * GIB)!, /; the cards of a, b, d do not say theirs$/);
  });

  it('counts only the sidecars of programs that are not ours, and of a directory that cannot be read', () => {
    const foreign = { name: 'f', replicas: 1, server: { kind: 'command', command: ['x'] } } as const;
    const lost = service({ dir: join(scratch.path, 'nowhere') });
    const need = memoryNeed([foreign, lost]);
    assert.deepEqual([need.modelProcesses, need.sidecars], [0, 4]);
    assert.equal(memoryLine(need, GIB), undefined, 'nothing is known');
  });

  it('is said in one line, and loudly where there is less', () => {
    const need = { modelBytes: 1.5 * GIB, modelProcesses: 9, sidecarBytes: GIB, sidecars: 11, unstated: [] };
    assert.equal(
      memoryLine(need, 3 * GIB),
      'needs 2.5 GiB once every model has worked (9 model processes 1.5 GiB by their cards, 11 sidecars 1.0 GiB), and 3.0 GiB is available',
    );
    assert.match(
      memoryLine(need, 2 * GIB)!,
      /^short of memory: needs 2\.5 GiB .* and 2\.0 GiB is available$/,
    );
  });
});
