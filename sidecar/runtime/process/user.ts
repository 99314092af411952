/** Whether this process acts as root; on systems without users it does not. */
export function runsAsRoot(): boolean {
  return process.geteuid?.() === 0;
}
