/** The one clock of a run: `CLOCK_MONOTONIC`, which all processes of a machine share, in ms. Processes write it down as it is. */

const NS_PER_MS = 1e6;

/** Milliseconds, fractional, since an origin that is the same for every process of this machine. */
export function machineNow(): number {
  return Number(process.hrtime.bigint()) / NS_PER_MS;
}
