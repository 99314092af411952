/** The files of a tokenizer: which there are, and what of them is used. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { readZip } from './zip.js';

/** Contents by name. */
export type TokenizerFiles = ReadonlyMap<string, Uint8Array>;

const NAMES: ReadonlySet<string> = new Set([
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'chat_template.json',
  'chat_template.jinja',
]);

/** The largest tokenizer.json of a known model has 34 MB. */
const MAX_BYTES = 256 * 1024 * 1024;
const MAX_ARCHIVE_BYTES = 128 * 1024 * 1024;

/** From a folder as Hugging Face has it. Throws if it cannot be read or is too large. */
export function filesOfFolder(folder: string): TokenizerFiles {
  const names = readdirSync(folder).filter((name) => NAMES.has(name));
  const bytes = names.reduce((sum, name) => sum + statSync(path.join(folder, name)).size, 0);
  if (bytes > MAX_BYTES) throw new Error(`the tokenizer in ${folder} has more than ${MAX_BYTES} bytes`);
  return new Map(names.map((name) => [name, readFileSync(path.join(folder, name))]));
}

/** Collects the archive that an engine sends. */
export class ArchiveParts {
  private readonly parts: Buffer[] = [];
  private bytes = 0;

  /** Throws once the archive is too large. */
  add(part: Buffer): void {
    this.bytes += part.length;
    if (this.bytes > MAX_ARCHIVE_BYTES)
      throw new Error(`the engine's tokenizer has more than ${MAX_ARCHIVE_BYTES} bytes`);
    this.parts.push(part);
  }

  whole(): Buffer {
    return Buffer.concat(this.parts);
  }
}

/** From the archive that an engine sends. */
export function filesOfArchive(archive: Buffer): TokenizerFiles {
  return readZip(archive, { wanted: (name) => NAMES.has(name), maxBytes: MAX_BYTES });
}

/** What the worker needs of the files. */
export interface TokenizerParts {
  readonly tokenizer: object;
  readonly config: Readonly<Record<string, unknown>>;
  /** `undefined`: the model is not for chats. */
  readonly chatTemplate: string | undefined;
  /** By name, such as `bos_token`: chat templates use them. */
  readonly specialTokens: Readonly<Record<string, string>>;
}

/** Throws if there is no tokenizer.json, or a file is no JSON. */
export function readParts(files: TokenizerFiles): TokenizerParts {
  const tokenizer = json(files, 'tokenizer.json');
  if (tokenizer === undefined) throw new Error('there is no tokenizer.json; give a folder that has one');
  const config = json(files, 'tokenizer_config.json') ?? {};
  return {
    tokenizer,
    config,
    chatTemplate: chatTemplate(files, config),
    specialTokens: specialTokens({ ...json(files, 'special_tokens_map.json'), ...config }),
  };
}

function chatTemplate(files: TokenizerFiles, config: Readonly<Record<string, unknown>>): string | undefined {
  const file = files.get('chat_template.jinja');
  if (file !== undefined) return Buffer.from(file).toString('utf8');
  return (
    templateOf(config['chat_template']) ?? templateOf(json(files, 'chat_template.json')?.['chat_template'])
  );
}

/** One template, or several by name. */
function templateOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) return undefined;
  const named = value as readonly { readonly name?: unknown; readonly template?: unknown }[];
  const found = named.find(({ name }) => name === 'default')?.template;
  return typeof found === 'string' ? found : undefined;
}

/** A special token is written as a string, or as an object with its `content`. */
function specialTokens(config: Readonly<Record<string, unknown>>): Record<string, string> {
  const tokens: Record<string, string> = {};
  for (const [key, value] of Object.entries(config)) {
    if (!/_token$/.test(key)) continue;
    const content =
      typeof value === 'object' && value !== null ? (value as { content?: unknown }).content : value;
    if (typeof content === 'string') tokens[key] = content;
  }
  return tokens;
}

function json(files: TokenizerFiles, name: string): Readonly<Record<string, unknown>> | undefined {
  const bytes = files.get(name);
  if (bytes === undefined) return undefined;
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8')) as Record<string, unknown>;
  } catch {
    throw new Error(`${name} is no JSON`);
  }
}
