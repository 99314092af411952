/**
 * A line for a machine that does something else already; undefined: it does not.
 *
 * An arm with more processes than another one gets less of a busy machine, so that a comparison there is about the load, and not about the arms.
 *
 * @param load mean of processes that ran or wanted to in the last minute (`os.loadavg`), which is always 0 on Windows.
 */
export function busyText(load: number, cores: number): string | undefined {
  if (load <= cores) return undefined;
  return `this machine is busy already (load ${load.toFixed(1)} on ${cores} ${cores === 1 ? 'core' : 'cores'}): its comparisons are no measurement`;
}
