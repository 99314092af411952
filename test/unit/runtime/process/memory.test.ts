import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { getHeapStatistics } from 'node:v8';
import { processMemory, youngBytes } from '../../../../sidecar/runtime/process/memory.js';
import { packageRoot } from '../../../kit/process/package-root.js';

describe('processMemory', () => {
  it('measures the old generation of the heap against what that may be', () => {
    const source = pathToFileURL(join(packageRoot, 'dist/sidecar/runtime/process/memory.js')).href;
    const fill = `
      import { processMemory } from '${source}';
      const kept = Array.from({ length: 320 }, () => new Array(16384).fill(1.5));
      const { usedBytes, limitBytes } = processMemory();
      console.log(JSON.stringify([kept.length, usedBytes / 2 ** 20, limitBytes / 2 ** 20]));`;
    for (const flags of [
      ['--max-old-space-size=64'],
      ['--max-old-space-size=64', '--max-semi-space-size=4'],
    ]) {
      const argv = [...flags, '--input-type=module', '-e', fill];
      const { stdout } = spawnSync(process.execPath, argv, { encoding: 'utf8', timeout: 15_000, env: {} });
      const [, used, limit] = JSON.parse(stdout) as [number, number, number];
      assert.equal(limit, 64, flags.join(' '));
      assert.ok(used >= 24 && used < 56, `${flags.join(' ')}: ${used} MiB`);
    }
  });

  it('knows the young generation by the flag, the last one said, else by the engine', () => {
    assert.equal(youngBytes('', '11.3.244.8-node.38'), 48 << 20);
    assert.equal(youngBytes('', '13.6.233.10-node.28'), 192 << 20);
    assert.equal(youngBytes('--max-semi-space-size=4'), 12 << 20);
    assert.equal(youngBytes('--max_semi_space_size 8 --max-semi-space-size=2'), 6 << 20);
  });

  it('says what this process holds, and no more than there is that it may hold', () => {
    const { usedBytes, limitBytes } = processMemory();
    assert.ok(usedBytes > 1024 * 1024, `${usedBytes}`);
    assert.ok(usedBytes < limitBytes);
    assert.ok(limitBytes <= Math.max(totalmem(), getHeapStatistics().heap_size_limit), `${limitBytes}`);
  });
});
