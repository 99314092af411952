import assert from 'node:assert/strict';
import { sharedLibraries } from '../../../../tools/image/shared-libraries.js';

describe('sharedLibraries', () => {
  it('are the files that the linker loads, and the linker, without what the kernel brings', () => {
    const printed =
      '\tlinux-vdso.so.1 (0x00007f09e011c000)\n\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f09e0026000)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f09e011e000)\n';
    assert.deepEqual(sharedLibraries(printed), [
      '/lib/x86_64-linux-gnu/libm.so.6',
      '/lib64/ld-linux-x86-64.so.2',
    ]);
  });

  it('are none of a static program, and an error where one is missing', () => {
    assert.deepEqual(sharedLibraries('\tstatically linked\n'), []);
    assert.throws(
      () => sharedLibraries('\tlibgone.so.1 => not found\n'),
      /libgone\.so\.1 is not on this machine/,
    );
  });
});
