import { createHash } from 'node:crypto';
import { type Address, writeAddress } from './codecs/address.js';
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

/** Words that a port follows, in an option, a variable or JSON: `--port`, `-p`, `--grpc-port=`, `"port": `. */
const BEFORE_PORT = String.raw`(?:(?:(?<![A-Za-z])(?:port|PORT)|(?<=[a-z])Port)["']?(?:\s+|\s*[=:]\s*)["']?|(?<!\S)-p[=\s]?)`;
/** A host with the colon before its port; without a host, all of this machine. */
const HOST = String.raw`(?:(?<![\w.\-:\]])(?:\d+(?:\.\d+){3}|localhost|\*)?|\[[\da-fA-F:.]*\]):`;
/** No part of a longer word or number. */
const END = String.raw`(?![\w.:\-])`;
/** An option whose value, the next argument, is a port. */
const PORT_OPTION = /^(?:-p|-.*(?:(?<![A-Za-z])(?:port|PORT)|[a-z]Port))$/;

/**
 * What the engine of a sidecar runs: as the file says, else by the command that starts it, without the address where it listens; empty: it is no
 * engine, or something else starts it. Numbers that are equal to the port by chance, such as a length, stay.
 */
export function engineModelOf(
  { engine, engineModel, local }: Pick<InboundConfig, 'engine' | 'engineModel' | 'local'>,
  started: Pick<ModelProcessConfig, 'command' | 'env'> | undefined,
): string {
  if (engine === undefined) return '';
  if (engineModel !== undefined) return engineModel;
  if (started === undefined || started.command.length === 0) return '';
  const command = started.command.map((text, i) =>
    placeless(text, local, PORT_OPTION.test(started.command[i - 1] ?? '')),
  );
  const env = Object.entries(started.env).map(([name, text]) => [
    name,
    placeless(text, local, /(^|_)PORT$/i.test(name)),
  ]);
  return startDigest({ command, env: Object.fromEntries(env) });
}

/** A text without the address. @param isPort all of it is a port, if it is a number */
function placeless(text: string, local: Address, isPort: boolean): string {
  const moved = text.replaceAll(
    new RegExp(`(?<![\\w.])${escaped(writeAddress(local))}${END}`, 'g'),
    '{address}',
  );
  if (local.kind === 'unix') return moved;
  if (isPort && moved === String(local.port)) return '{port}';
  return moved.replaceAll(new RegExp(`(${BEFORE_PORT}|${HOST})${local.port}${END}`, 'g'), '$1{port}');
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
