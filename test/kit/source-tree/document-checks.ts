/**
 * Whether a document tells the truth: its commands exist, its links lead somewhere, its YAML is what the parser takes.
 */
import { posix } from 'node:path';
import { parseCard } from '../../../services/model-server/models/card.js';
import { cardHint } from '../../../sidecar/config/file/foreign-file.js';
import {
  type FileKind,
  type ParseResult,
  parseAnyFile,
  parseMeshFile,
  parseSidecarFile,
} from '../../../sidecar/config/file/parse.js';
import { readYaml, type YamlResult } from '../../../sidecar/config/file/yaml-document.js';
import { mapping } from '../../../sidecar/config/options/found.js';
import { formatProblem } from '../../../sidecar/config/problem.js';
import type { Document, Found } from './document.js';

/** Commands of the program, each with its long and short options. */
export type Commands = ReadonlyMap<string, readonly string[]>;

export interface World {
  readonly commands: Commands;
  /** Names of the scripts in package.json. */
  readonly scripts: readonly string[];
  exists(path: string): boolean;
  /** Anchors of another document, when it is one. */
  anchorsOf(path: string): readonly string[] | undefined;
}

/** Scripts that npm knows by itself. */
const NPM_OWN = ['ci', 'install', 'i', 'exec', 'pack', 'link', 'view', 'update', 'audit'];
/** Placeholders in usage lines: FILE, ADDR, NAME=VALUE, [options]. */
const PLACEHOLDER = /^[[<]|^[A-Z][A-Z_=|@]*…?$|…/;

export function wrongCommands(document: Document, world: World): string[] {
  return document.commands.flatMap((found) => {
    const [program, ...words] = found.text.split(/\s+/).filter((word) => word !== 'npx');
    const wrong = program === 'npm' ? wrongScript(words, world) : wrongOutrider(words, world);
    return wrong === undefined ? [] : [at(document, found, wrong)];
  });
}

function wrongScript([verb = '', ...rest]: readonly string[], { scripts }: World): string | undefined {
  if (NPM_OWN.includes(verb) || PLACEHOLDER.test(verb)) return undefined;
  const name = verb === 'run' ? rest.find((word) => !word.startsWith('-')) : verb;
  if (name === undefined || PLACEHOLDER.test(name) || scripts.includes(name)) return undefined;
  return `there is no script "${name}" in package.json`;
}

function wrongOutrider(words: readonly string[], { commands, exists }: World): string | undefined {
  const [command = '', ...rest] = words;
  if (PLACEHOLDER.test(command) || ['--help', '-h', '--version', '-v'].includes(command)) return undefined;
  const options = commands.get(`${command} ${rest[0]}`) ?? commands.get(command.replace(/[,.:]$/, ''));
  if (options === undefined) return `there is no command "outrider ${command}"`;
  const own = rest.includes('--') ? rest.slice(0, rest.indexOf('--')) : rest;
  const unknown = own.find((word) => /^--?[a-z]/.test(word) && !options.includes(word.split('=')[0]!));
  if (unknown !== undefined) return `"outrider ${command}" has no option ${unknown}`;
  const missing = own
    .filter((_, at) => own[at - 1] !== '--out') // what a command writes
    .map((word) => word.replace(/^(\w+=)?@/, ''))
    .find((word) => /^(mesh-config|services|sidecar)\//.test(word) && !exists(word));
  return missing === undefined ? undefined : `there is no file ${missing}`;
}

export function brokenLinks(document: Document, world: World): string[] {
  return document.links.flatMap((found) => {
    if (/^([a-z][a-z0-9+.-]*:|\/\/)/i.test(found.text)) return [];
    const [file = '', anchor] = found.text.split('#');
    const target =
      file === '' ? document.path : posix.join(posix.dirname(document.path), decodeURIComponent(file));
    if (file !== '' && !world.exists(target))
      return [at(document, found, `the link ${found.text} leads to nothing`)];
    const anchors = file === '' ? document.anchors : world.anchorsOf(target);
    if (anchor === undefined || anchors === undefined || anchors.includes(anchor)) return [];
    return [at(document, found, `the link ${found.text} leads to no heading`)];
  });
}

/**
 * A block that is a whole file has to be a valid one, and a part of a file has to be valid in one. Its first line may say of which kind:
 * `# in a mesh file`. A model.yaml has to be a valid card. Files of Prometheus have to be YAML.
 */
export function wrongYaml(document: Document): string[] {
  return document.yaml.flatMap((found) =>
    problemsOf(found.text, document.path).map((problem) => at(document, found, problem)),
  );
}

function problemsOf(text: string, path: string): string[] {
  const { kind, result } = parseAnyFile(text, path);
  if (kind !== undefined) return said(result);
  const yaml = readYaml(text, path);
  if (!yaml.ok) return said(yaml);
  const { value } = yaml.document;
  if (FOREIGN.some((key) => Object.hasOwn(mapping(value), key))) return [];
  if (cardHint(value) !== undefined) return cardProblems(text);
  const named = (['mesh', 'sidecar'] as const).filter((each) =>
    text.split('\n', 1)[0]!.includes(`a ${each} file`),
  );
  const judged = (named.length > 0 ? named : KINDS).map((each) => partProblems(each, text, path));
  // Where no kind is named, one that takes the part is enough.
  return named.length > 0 ? judged.flat() : judged.some(({ length }) => length === 0) ? [] : judged[0]!;
}

/** Keys at the top of a file of Prometheus, or of a part of KEDA's. */
const FOREIGN = ['scrape_configs', 'rule_files', 'groups', 'otlp', 'triggers'];
const KINDS: readonly FileKind[] = ['sidecar', 'mesh'];

/** A part of a file, made whole by what it leaves out: at the top of the file, or below `outbound`. */
function partProblems(kind: FileKind, part: string, path: string): string[] {
  if (kind === 'mesh')
    return said(parseMeshFile(`${part}\nservices: { part: { models: services/digits/models } }\n`, path));
  const upstreams = /^upstreams:/m.test(part)
    ? part.replaceAll(/^/gm, '  ')
    : '  upstreams: { part: { listen: "127.0.0.1:1", endpoints: ["127.0.0.1:2"] } }\n';
  const top = /^upstreams:/m.test(part) ? '' : part;
  const identity = 'identity: { cert: a, key: b, roots: c }';
  return said(parseSidecarFile(`${top}\nservice: part\n${identity}\noutbound:\n${upstreams}\n`, path));
}

function cardProblems(text: string): string[] {
  try {
    parseCard(text);
    return [];
  } catch (error) {
    return [String(error)];
  }
}

/** The problems of what was read, one a line. */
function said(read: ParseResult<unknown> | YamlResult): string[] {
  return read.ok ? [] : read.problems.map(formatProblem);
}

function at(document: Document, { line }: Found, message: string): string {
  return `${document.path}:${line}: ${message}`;
}

/** Paths of source files in code type (`relay/call.ts`) that exist neither from the root nor in sidecar/. `NAME`, and `X` for a folder, are placeholders. */
export function missingSources(path: string, text: string, exists: (path: string) => boolean): string[] {
  return text.split('\n').flatMap((line, i) =>
    [...line.matchAll(/`([\w.-]+(?:\/[\w.-]+)+\.ts)`/g)]
      .map(([, named]) => named!)
      .filter((named) => !/NAME|\bX\b/.test(named) && !exists(named) && !exists(`sidecar/${named}`))
      .map((named) => `${path}:${i + 1}: names ${named}, which is not there`),
  );
}
