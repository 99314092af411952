/** Statuses of an agent that is too busy, and of a proxy before one that is away. */
const BUSY: ReadonlySet<number> = new Set([408, 429, 502, 503, 504]);

/** An agent or a server puts this before what another server has said, whatever that was. */
const FORWARDED = /rpc error making call: /g;

/** Consul answers 500 with these when servers do not reach each other, have no leader, or are starting or ending. */
const PASSING = new RegExp(
  [
    'no (cluster )?leader|not the leader|leadership (lost|transfer)|no known consul servers|no path to datacenter|no server currently reachable',
    'rpc error|\\bEOF\\s*$|i/o (timeout|deadline)|deadline exceeded|context canceled|connection (refused|reset|timed out|write timeout)',
    'broken pipe|closed (network )?connection|stream closed|session shutdown|keepalive timeout|no route to host|network is unreachable',
    "didn't get connection|not ready to serve|shutting down|already shutdown|timed out|read only while|rate limit|try again",
  ].join('|'),
  'i',
);

/**
 * Whether Consul may answer the same request otherwise later: its servers cannot be reached or have no leader. With 500 it also refuses for
 * good, as a discovery chain that does not compile.
 *
 * @param said the body of the answer; it may stand after the status.
 */
export function isPassingFailure(status: number, said: string): boolean {
  return BUSY.has(status) || (status >= 500 && PASSING.test(said.replace(FORWARDED, '')));
}
