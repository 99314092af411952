import assert from 'node:assert/strict';
import { totalmem } from 'node:os';
import { getHeapStatistics } from 'node:v8';
import { processMemory } from '../../sidecar/runtime/process-memory.js';

describe('processMemory', () => {
  it('says what this process holds, and no more than there is that it may hold', () => {
    const { usedBytes, limitBytes } = processMemory();
    assert.ok(usedBytes > 1024 * 1024, `${usedBytes}`);
    assert.ok(usedBytes < limitBytes);
    assert.ok(limitBytes <= Math.max(totalmem(), getHeapStatistics().heap_size_limit), `${limitBytes}`);
  });
});
