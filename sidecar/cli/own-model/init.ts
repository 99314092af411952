import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { impliedCallerName } from '../../config/options/mesh/known-names.js';
import { NAME } from '../../config/options/values.js';
import { makeDirectory } from '../../runtime/process/directory.js';
import { CommandFailure } from '../failure.js';
import { ownCommand } from '../own-command.js';
import { ownPlace } from '../package-info.js';
import type { OutputStream } from '../terminal.js';
import { PortAllocator } from '../up/port-allocator.js';
import { AuthoringProcess } from './authoring-process.js';
import { meshFileText } from './mesh-file-text.js';
import { portsNamedIn } from './named-ports.js';

export interface InitOptions {
  readonly name: string;
  /** The ONNX file. It is copied. */
  readonly model: string;
  /** Directory of models. */
  readonly dir: string;
  /** Names of the classes, separated by commas. */
  readonly labels?: string;
  /** Folder of the version. */
  readonly version: string;
  /** `NAME=N` each: sizes of named dimensions for the made inputs. */
  readonly size: readonly string[];
  /** One JSON object with the files, the made inputs and the next commands. */
  readonly json?: boolean;
  readonly stdout?: OutputStream;
}

const FIRST_VERSION = '1';
const HOST = '127.0.0.1';
const CALL_PORT = 8800;
const ADMIN_PORT = 8890;
const PORTS_TRIED = 80;
/** More than one shell word. */
const NEEDS_QUOTES = /[^\w@%+=:,./-]/;

/**
 * `outrider init`: takes an ONNX file into a directory of models, with a model.yaml, and writes a mesh
 * file for it into the working directory. A further version of a model goes beside the others, and the mesh file stays as it is.
 * Overwrites nothing; when anything is wrong, it leaves nothing.
 *
 * @returns the exit code 0.
 * @throws CommandFailure with the reason: 2 for a wrong argument, 1 for a file that cannot be taken.
 */
export async function initCommand(options: InitOptions): Promise<number> {
  const { name, dir } = options;
  const out = options.stdout ?? process.stdout;
  requireName(name);
  const source = requireFile(options.model);
  const place = placeFor(options);
  const sizes = sizesOf(options.size);
  const labels = options.labels === undefined ? [] : options.labels.split(',').map((label) => label.trim());

  makeDirectory(dir);
  // The model is looked at where it will be, so that what lies beside it is missed now and not at the start.
  const staging = mkdtempSync(join(dir, '.init-'));
  const author = AuthoringProcess.start();
  try {
    const version = join(staging, options.version);
    mkdirSync(version);
    cpSync(source, join(version, 'model.onnx'));
    for (const weights of [`${source}.data`, `${source}_data`])
      if (existsSync(weights)) cpSync(weights, join(version, basename(weights)));
    const file = resolve(version, 'model.onnx');
    const made = await author.ask<'card'>(
      { ask: 'card', file, source: basename(source), labels, sizes },
      source,
    );
    writeFileSync(join(version, 'model.yaml'), made.card, { flag: 'wx' });
    const card = join(place.folder, 'model.yaml');
    const inputs = made.inputs.length > 0 ? made.inputs : [`@${card}`];
    const files = { model: join(place.folder, 'model.onnx'), card };
    const { found } = made;
    const written = place.isFurther
      ? furtherVersion({ ...options, staging, inputs, files, found })
      : await firstVersion({ ...options, staging, inputs, files, found });
    out.write(options.json === true ? `${JSON.stringify(written.json)}\n` : `${written.lines.join('\n')}\n`);
    return 0;
  } finally {
    author.close();
    rmSync(staging, { recursive: true, force: true });
  }
}

/** A model that is made and has still to be put where it belongs. */
interface Made extends InitOptions {
  /** Has a folder for the version. */
  readonly staging: string;
  /** As `infer` takes them. */
  readonly inputs: readonly string[];
  readonly files: { readonly model: string; readonly card: string };
  readonly found: readonly string[];
}

/** What is printed. */
interface Written {
  readonly json: unknown;
  readonly lines: readonly string[];
}

/** Puts the version beside those that are there. */
function furtherVersion({ name, dir, version, staging, inputs, files, found }: Made): Written {
  renameSync(join(staging, version), join(dir, name, version));
  const self = ownCommand(ownPlace());
  const next = [
    `${self} golden ${join(dir, name, version)} ${asFlags(inputs)}`,
    `${self} rollout ${name} --model ${name} --version ${version}`,
  ];
  const lines = [
    ...found,
    `wrote ${files.model} and ${files.card}`,
    '',
    'next, unless the mesh rolls it out by itself (`rollout.follow`): prove it with an input whose answer you know, and roll it out:',
    ...next.map((line) => `  ${line}`),
  ];
  return { json: { ...files, found, inputs, next }, lines };
}

/** Puts the model into the directory of models, and writes a mesh file for it. */
async function firstVersion({ name, dir, staging, inputs, files, found }: Made): Promise<Written> {
  const meshFile = `${name}.yaml`;
  const ports = await freePorts();
  const models = relative(dirname(resolve(meshFile)), resolve(dir)) || '.';
  const mesh = meshFileText({ service: name, models, caller: impliedCallerName([name]), ...ports });
  writeFileSync(meshFile, mesh, { flag: 'wx' });
  try {
    chmodSync(staging, statSync(dir).mode);
    renameSync(staging, join(dir, name));
  } catch (error) {
    rmSync(meshFile);
    throw error;
  }
  const self = ownCommand(ownPlace());
  const next = [
    `${self} up ${meshFile}`,
    `${self} infer ${name} ${asFlags(inputs)} --target ${ports.listen}`,
  ] as const;
  const lines = [
    ...found,
    `wrote ${files.model}, ${files.card} and ${meshFile}`,
    ...othersIn(dir, name, meshFile),
    '',
    'next, in two terminals:',
    ...next.map((line) => `  ${line}`),
  ];
  const json = { ...files, mesh: meshFile, found, inputs, call: ports.listen, admin: ports.admin, next };
  return { json, lines };
}

/** Where the version goes, and whether the model has others. Throws CommandFailure for what is there already. */
function placeFor({ name, dir, version }: InitOptions): { folder: string; isFurther: boolean } {
  if (!/^[1-9]\d{0,17}$/.test(version))
    throw new CommandFailure(`--version: found '${version}', expected a whole number above 0`, 2);
  const target = join(dir, name);
  const folder = join(target, version);
  const isFurther = existsSync(target) && version !== FIRST_VERSION;
  for (const path of isFurther ? [folder] : [target, `${name}.yaml`]) {
    if (!existsSync(path)) continue;
    const way = path === target ? `; \`--version ${nextVersion(target)}\` adds a version beside it` : '';
    throw new CommandFailure(`${path} exists already; it is left as it is${way}`);
  }
  return { folder, isFurther };
}

function nextVersion(target: string): number {
  return Math.max(0, ...readdirSync(target).map((name) => (/^[1-9]\d*$/.test(name) ? Number(name) : 0))) + 1;
}

function asFlags(inputs: readonly string[]): string {
  return inputs.map((input) => `--input ${quoted(input)}`).join(' ');
}

function requireName(name: string): void {
  if (!NAME.test(name))
    throw new CommandFailure(
      `NAME: found '${name}', expected lower-case letters, digits, '-', '_' and '.', at most 63`,
      2,
    );
}

function requireFile(path: string): string {
  const facts = statSync(path, { throwIfNoEntry: false });
  if (facts === undefined) throw new CommandFailure(`--model: ${path} does not exist`);
  if (!facts.isFile()) throw new CommandFailure(`--model: ${path} is not a file, expected an ONNX file`);
  return path;
}

function sizesOf(pairs: readonly string[]): Record<string, number> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.lastIndexOf('=');
      const size = Number(pair.slice(at + 1));
      if (at <= 0 || !Number.isInteger(size) || size < 1)
        throw new CommandFailure(`--size: found '${pair}', expected NAME=N, for example sequence=16`, 2);
      return [pair.slice(0, at), size];
    }),
  );
}

/** The usual ports, or the next ones that are free now and that no other mesh file of this folder names: both meshes may run. */
async function freePorts(): Promise<{ listen: string; admin: string }> {
  const ports = new PortAllocator();
  const named = portsNamedIn('.');
  const next = async (first: number): Promise<string> => {
    for (let port = first; port < first + PORTS_TRIED; port++)
      if (!named.has(port) && (await ports.tryClaim(HOST, port))) return `${HOST}:${port}`;
    return `${HOST}:${await ports.find(HOST)}`;
  };
  try {
    return { listen: await next(CALL_PORT), admin: await next(ADMIN_PORT) };
  } finally {
    await ports.close();
  }
}

function othersIn(dir: string, name: string, meshFile: string): string[] {
  const others = readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== name && !entry.name.startsWith('.'))
    .map((entry) => entry.name);
  return others.length === 0 ? [] : [`${meshFile} also serves what else is in ${dir}: ${others.join(', ')}`];
}

/** For a shell. */
function quoted(word: string): string {
  return NEEDS_QUOTES.test(word) ? `'${word.replaceAll("'", `'\\''`)}'` : word;
}
