/**
 * The places in a foreign model server's command line and environment that `up` fills for each replica.
 *
 * A foreign server has to be told where to listen; only the one that starts it knows the port.
 */

export interface CommandPlaceholders {
  /** `host:port` on which the server must listen. */
  readonly address: string;
  /** The port of `address` alone. */
  readonly port: number;
  /** Number of the replica, from 1. */
  readonly replica: number;
}

const PLACE = /\{(address|port|replica)\}/g;

/** Fills `{address}`, `{port}` and `{replica}`; any other braces stay as they are. */
export function fillPlaceholders(text: string, places: CommandPlaceholders): string {
  return text.replace(PLACE, (_, name: keyof CommandPlaceholders) => String(places[name]));
}

/** True when the text tells a server where to listen. */
export function saysWhereToListen(text: string): boolean {
  return text.includes('{address}') || text.includes('{port}');
}
