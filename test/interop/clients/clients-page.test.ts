/**
 * The pages of docs/clients/ as a reader would use them: the files of each section are written into a folder, its commands run there in
 * order, against the demo mesh, and print what the section says. What installs or compiles runs once for each text of the page,
 * in `.cache/clients/`; a section whose programs cannot be had is skipped.
 */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify, stripVTControlCharacters } from 'node:util';
import { EFFORT } from '../../kit/mocha/effort.js';
import { ScratchDirectory } from '../../kit/process/scratch-directory.js';
import { ROOT, type ToolName, testFile, toolOrSkip } from '../../kit/process/tools.js';

const run = promisify(execFile);
const FOLDER = path.join(ROOT, 'docs', 'clients');
const NAMES = readdirSync(FOLDER);
const PAGES = NAMES.map((name) => readFileSync(path.join(FOLDER, name), 'utf8'));
const CACHE = path.join(ROOT, '.cache', 'clients');
const PROTO = path.join(ROOT, 'proto', 'inference.proto');

/** Commands that install or compile: once, and with the registries of the machine. */
const SETUP = /^(pip install|npm install|go install|go mod init|go get|mkdir|protoc|mvn .*\bcompile$)/;
/** Commands that do not run here as they stand. */
const BEFOREHAND: Readonly<Record<string, string>> = {
  'pip install kserve==0.21.0':
    'tools.ts installs that version of its client without the server and the Kubernetes SDK',
};

interface Needs {
  /** Programs that the project installs; those of the last one come first on PATH. */
  readonly tools: readonly ToolName[];
  /** Where the section says that `proto/inference.proto` is copied. */
  readonly proto?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** What each section needs, by its heading; that of a page with one section is its title. */
const SECTIONS: Readonly<Record<string, Needs>> = {
  'Python: tritonclient': { tools: ['tritonclient'] },
  'Python: KServe': {
    tools: ['kserve'],
    env: { PYTHONPATH: testFile('interop', 'clients', 'kserve-client-only') },
  },
  'Node: grpc-js': { tools: [], proto: '.' },
  // grpcio-tools brings a protoc.
  Go: { tools: ['python'], proto: '.' },
  Java: { tools: [], proto: 'src/main/proto' },
  grpcurl: { tools: ['grpcurl'] },
  ghz: { tools: ['ghz'] },
};

/** Starting Maven takes longer than all the others together. */
const AT_NIGHT: ReadonlySet<string> = new Set(['Java']);

interface Section {
  readonly name: string;
  readonly files: readonly { readonly name: string; readonly text: string }[];
  readonly commands: readonly string[];
  /** Lines that the last command prints, among others. */
  readonly expected: readonly string[];
}

const sections = PAGES.flatMap((page) => page.split(/^##? /m).slice(1))
  .map((text): Section => {
    const lines = (language: string) =>
      [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].flatMap(([, block]) =>
        block!.split('\n').filter((line) => line !== ''),
      );
    return {
      name: text.slice(0, text.indexOf('\n')).replace('Call from ', ''),
      files: [...text.matchAll(/^`([^`]+)`:\n\n```\w+\n(.*?)^```/gms)].map(([, name, body]) => ({
        name: name!,
        text: body!,
      })),
      commands: lines('sh'),
      expected: lines('text'),
    };
  })
  .filter(({ commands }) => commands.length > 0);

/** The folder of a section with its files, ready to run; undefined, said loudly, when what it installs cannot be had. */
async function prepared(section: Section, needs: Needs, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const text = JSON.stringify([section, readFileSync(PROTO, 'utf8')]);
  const digest = createHash('sha256').update(text).digest('hex').slice(0, 12);
  const folder = path.join(CACHE, `${section.name.replace(/\W+/g, '-')}-${digest}`);
  const mark = path.join(folder, '.prepared');
  if (existsSync(mark)) return folder;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(path.join(folder, '.mvn'), { recursive: true });
  writeFileSync(
    path.join(folder, '.mvn', 'maven.config'),
    `-Dmaven.repo.local=${path.join(CACHE, 'maven')}\n`,
  );
  for (const { name, text } of section.files) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), text);
  }
  if (needs.proto !== undefined) cpSync(PROTO, path.join(folder, needs.proto, 'inference.proto'));
  for (const command of section.commands.filter((each) => SETUP.test(each) && !(each in BEFOREHAND))) {
    try {
      await shell(command, folder, env);
    } catch (error) {
      const [first = '', second = ''] = (error as Error).message.split('\n');
      process.stderr.write(`\nSKIPPING TESTS: ${section.name} of docs/clients: ${first} | ${second}\n`);
      return undefined;
    }
  }
  writeFileSync(mark, '');
  return folder;
}

async function shell(command: string, cwd: string, env: NodeJS.ProcessEnv): Promise<string> {
  return (await run('sh', ['-euc', command], { cwd, env, timeout: 240_000, maxBuffer: 16 << 20 })).stdout;
}

/** `protoc` as the page calls it, from grpcio-tools; programs that `go install` makes are found. */
function environment(needs: Needs, programs: readonly string[]): NodeJS.ProcessEnv {
  const bin = path.join(CACHE, 'bin');
  mkdirSync(bin, { recursive: true });
  const [first] = programs;
  if (needs.tools[0] === 'python')
    writeFileSync(path.join(bin, 'protoc'), `#!/bin/sh\nexec ${first} -m grpc_tools.protoc -I . "$@"\n`, {
      mode: 0o755,
    });
  const found = [...programs.map((program) => path.dirname(program)), bin, process.env['PATH']];
  return {
    ...process.env,
    GOBIN: bin,
    GOFLAGS: '-buildvcs=false',
    PATH: found.join(path.delimiter),
    ...needs.env,
  };
}

describe('docs/clients/, against the demo mesh', function () {
  this.timeout(300_000);

  let place: ScratchDirectory;
  before(async () => {
    place = new ScratchDirectory();
    await place.start('outrider up mesh-config/demo.yaml', /Ctrl-C drains and stops everything/);
  });
  after(() => place?.close());

  it('has the sections that are tested, each with commands and what they print', () => {
    assert.deepEqual(sections.map(({ name }) => name).sort(), Object.keys(SECTIONS).sort());
    for (const { name, commands, expected } of sections) {
      assert.ok(
        commands.some((command) => !SETUP.test(command)),
        name,
      );
      assert.ok(expected.length > 0, name);
    }
    const index = readFileSync(path.join(ROOT, 'docs', 'CLIENTS.md'), 'utf8');
    const listed = [...index.matchAll(/^\|.*\]\(clients\/([^)]+)\)/gm)].map(([, name]) => name);
    assert.deepEqual(listed.sort(), [...NAMES].sort(), 'the pages that docs/CLIENTS.md lists');
    const all = sections.flatMap(({ commands }) => commands);
    for (const command of Object.keys(BEFOREHAND)) assert.ok(all.includes(command), command);
  });

  for (const section of sections) {
    if (AT_NIGHT.has(section.name) && EFFORT === 1) continue;
    it(`${section.name}: what it says works`, async function () {
      const needs = SECTIONS[section.name]!;
      const programs: string[] = [];
      for (const name of needs.tools) programs.push(await toolOrSkip(this, name));
      this.timeout(300_000);
      const env = environment(needs, programs);
      const folder = await prepared(section, needs, env);
      if (folder === undefined) return this.skip();
      let printed = '';
      for (const command of section.commands)
        if (!SETUP.test(command)) printed += await shell(command, folder, env);
      const lines = stripVTControlCharacters(printed)
        .split('\n')
        .map((line) => line.trim());
      for (const line of section.expected)
        assert.ok(lines.includes(line), `no line '${line}' in:\n${printed}`);
    });
  }
});
