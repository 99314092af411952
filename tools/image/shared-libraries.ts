/** Which files the system's linker loads for a program, out of what `ldd` prints. */

/** `libm.so.6 => /lib/x/libm.so.6 (0x…)` and `/lib64/ld-linux-x86-64.so.2 (0x…)`; the kernel's own has no file. */
const LIBRARY = /^\s*(?:\S+ => )?(\/\S+) \(0x[0-9a-f]+\)$/;
const MISSING = /^\s*(\S+) => not found/;

/**
 * Absolute paths of the libraries and of the loader, in the order of `printed`; none for a static program.
 *
 * @throws Error that names a library which is not there.
 */
export function sharedLibraries(printed: string): string[] {
  return printed.split('\n').flatMap((line) => {
    const missing = MISSING.exec(line)?.[1];
    if (missing !== undefined) throw new Error(`${missing} is not on this machine`);
    return LIBRARY.exec(line)?.[1] ?? [];
  });
}
