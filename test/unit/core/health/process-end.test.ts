import assert from 'node:assert/strict';
import { classOfExit, EndClass, implicatesCalls } from '../../../../sidecar/core/health/process-end.js';

describe('classOfExit', () => {
  for (const [what, code, signal, isOutOfMemory, expected] of [
    ['a fault', null, 'SIGSEGV', false, 'crashed'],
    ['an abort', null, 'SIGABRT', false, 'crashed'],
    ['a bus error', null, 'SIGBUS', true, 'crashed'],
    ['a code other than 0', 1, null, false, 'crashed'],
    ['a fault below a shell', 139, null, false, 'crashed'],
    ['a code of 0', 0, null, false, 'ended'],
    ['SIGTERM', null, 'SIGTERM', false, 'ended'],
    ['SIGTERM while memory ran out elsewhere', null, 'SIGTERM', true, 'ended'],
    ['SIGTERM below a shell', 143, null, false, 'ended'],
    ['SIGKILL from outside', null, 'SIGKILL', false, 'ended'],
    ['SIGKILL from the kernel, for want of memory', null, 'SIGKILL', true, 'crashed'],
    ['the same below a shell', 137, null, true, 'crashed'],
    ['a process that could not be started', null, null, false, 'ended'],
  ] as const)
    it(`takes ${what} for ${expected}`, () =>
      assert.equal(classOfExit({ code, signal }, isOutOfMemory), expected));

  it('lets calls be implicated by a crash and by a death at work only', () =>
    assert.deepEqual(Object.values(EndClass).filter(implicatesCalls), ['crashed', 'killed-busy']));
});
