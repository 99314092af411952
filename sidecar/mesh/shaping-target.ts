/** An upstream that calls made to another one may go to. */

import type { OutboundCall } from '../outbound/call.js';
import type { Story } from '../relay/call.js';
import type { Match } from '../relay/route-table.js';

export interface Shaped extends Story {
  readonly name: string;
  /** Its route for calls of this path; null: it has none. */
  matchOf(path: string): Match | null;
  /** Runs a call, whoever it was made to. */
  take(call: OutboundCall, match: Match, path: string): void;
}
