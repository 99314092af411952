import type { ConnectionEnds } from './connection-ends.js';
import type { SweepDetector } from './detector.js';

/** When connections to an endpoint end too soon. */
export interface ShortLivedSettings {
  /** So many short-lived connections in a row, each of which took calls with it. */
  readonly minConnections: number;
}

/**
 * Connections that are cut soon after they were made, one after the other, each with calls on it: a proxy, a firewall or a line before
 * the endpoint that lets little through. Each of them loses few of many calls, so that no share of failures shows it.
 *
 * Where the connections of more than half of the others were cut as well, lately, the cause lies elsewhere: this side's own network, or
 * what all of them are asked.
 */
export const shortLived: SweepDetector<ConnectionEnds, ShortLivedSettings> = {
  name: 'short-lived-connections',
  goesByFaults: false,
  reads: 'connections',
  find(all, { minConnections }, nowMs) {
    const cut = all.filter((ends) => ends.wasCut(nowMs)).length;
    return all.map((ends) => {
      if (ends.inRow < minConnections || !ends.isFresh(nowMs)) return undefined;
      // Itself among them.
      if ((cut - 1) * 2 > all.length - 1) return undefined;
      const why = `${ends.inRow} connections in a row were cut within a minute of being made, with ${ends.lostCalls} calls on them`;
      return { why, severity: ends.lostCalls };
    });
  },
};
