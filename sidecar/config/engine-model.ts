import { createHash } from 'node:crypto';
import { writeAddress } from './codecs/address.js';
import type { InboundConfig, ModelProcessConfig } from './model.js';

/** What starts an engine. */
interface Started {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Variables that say where an engine runs, or are secrets: engines that differ in these alone run the same. */
const PLACES = /(_VISIBLE_DEVICES|_HOST_IP|_HOST|_PORT|TOKEN|KEY|SECRET|PASSWORD|CREDENTIALS?)$/;

/** A digest that is the same for engines that are started by the same words: 64 bits of SHA-256, hex. */
export function startDigest({ command, env }: Started): string {
  const variables = Object.entries(env)
    .filter(([name]) => !PLACES.test(name))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256')
    .update(JSON.stringify([command, variables]))
    .digest('hex')
    .slice(0, 16);
}

/**
 * What the engine of a sidecar runs: as the file says, else by the command that starts it, without the address where it listens; empty: it is no
 * engine, or something else starts it.
 */
export function engineModelOf(
  { engine, engineModel, local }: Pick<InboundConfig, 'engine' | 'engineModel' | 'local'>,
  started: Pick<ModelProcessConfig, 'command' | 'env'> | undefined,
): string {
  if (engine === undefined) return '';
  if (engineModel !== undefined) return engineModel;
  if (started === undefined || started.command.length === 0) return '';
  const placeless = (text: string): string => {
    const moved = text.replaceAll(writeAddress(local), '{address}');
    return local.kind === 'tcp' ? moved.replaceAll(new RegExp(`\\b${local.port}\\b`, 'g'), '{port}') : moved;
  };
  const env = Object.fromEntries(Object.entries(started.env).map(([name, text]) => [name, placeless(text)]));
  return startDigest({ command: started.command.map(placeless), env });
}
