/** Statuses of an agent that is too busy, and of a proxy before one that is away. */
const BUSY: ReadonlySet<number> = new Set([408, 429, 502, 503, 504]);

/** An agent or a server puts this before what another server has said, whatever that was. */
const FORWARDED = /rpc error making call: /g;

/** Consul answers 500 with these where the request or a config entry is wrong: a chain that does not compile, an intention that it does not take. */
const LASTING = new RegExp(
  [
    'inconsistent protocols|circular|does not permit|not permitted|permission denied|must (not )?(be|have)|cannot use',
    'invalid|unsupported|duplicate|already exists|unknown (field|kind)|cannot unmarshal',
  ].join('|'),
  'i',
);

/**
 * Whether Consul may answer the same request otherwise later: its servers cannot be reached or have no leader. It answers 500 to both, and
 * words of a refusal for good are fewer: what is not known may pass.
 *
 * @param said the body of the answer; it may stand after the status.
 */
export function isPassingFailure(status: number, said: string): boolean {
  return BUSY.has(status) || (status >= 500 && !LASTING.test(said.replace(FORWARDED, '')));
}
