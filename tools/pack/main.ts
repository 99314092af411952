/**
 * `npm run pack [-- --out DIR] [--repository URL]`: the two packages of this tree as tarballs that `npm install` takes, `outrider-VERSION.tgz`
 * and `outrider-models-VERSION.tgz`. The tree has to be built. They have what runs and nothing else: of the sidecar the
 * bundle with the few modules that the model server and a thread load by themselves.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { importClosure } from './import-closure.js';
import { modelsPackage, modelsReadme, programPackage, type TreePackage } from './packages.js';
import { squeezeFolder } from './squeeze.js';

/** Loaded by path and not imported: the program, and the thread that reads Consul's answers. */
const MAIN = 'dist/sidecar/main.js';
const THREAD = 'dist/sidecar/discovery/consul/parser/worker.js';
/** Packages that the bundle leaves outside (tools/bundle.ts), and the one that it asks for by `require`. */
const BESIDE_THE_BUNDLE = ['@grpc/grpc-js', '@grpc/proto-loader', 're2js'];
const { values } = parseArgs({
  options: { out: { type: 'string', default: '.' }, repository: { type: 'string' } },
});
const out = resolve(values.out);
const tree: TreePackage = JSON.parse(readFileSync('package.json', 'utf8'));
const staging = mkdtempSync(join(tmpdir(), 'outrider-pack-'));
try {
  mkdirSync(out, { recursive: true });
  const archives = [pack(await stageProgram()), pack(stageModels())];
  process.stdout.write(`${archives.join('\n')}\n`);
  // For people: other programs read the paths.
  if (process.stdout.isTTY)
    process.stdout.write(
      `\nin an empty folder:\n  npm install --ignore-scripts ${archives.join(' ')}\n  npx outrider up\n`,
    );
} finally {
  rmSync(staging, { recursive: true, force: true });
}

async function stageProgram(): Promise<string> {
  const folder = join(staging, 'outrider');
  const listed = filesOfTree();
  const servers = listed.filter((path) => /^dist\/services\/.*\.js$/.test(path));
  const { files, packages } = importClosure([THREAD, ...servers]);
  const needed = new Set([MAIN, ...files]);
  // A module that the servers import may lie outside the folders that are listed.
  const packed = new Set([...listed, ...needed]);
  for (const path of packed) if (!path.startsWith('dist/sidecar/') || needed.has(path)) copy(path, folder);
  await squeezeFolder(join(folder, 'dist/bundle'));
  const beside = new Set([...BESIDE_THE_BUNDLE, ...packages.filter((name) => name !== 'onnxruntime-node')]);
  write(folder, 'package.json', programPackage(tree, [...beside].sort(), values.repository));
  return folder;
}

function stageModels(): string {
  const folder = join(staging, 'outrider-models');
  mkdirSync(folder);
  write(folder, 'package.json', modelsPackage(tree, values.repository));
  writeFileSync(join(folder, 'README.md'), modelsReadme(tree));
  copy('LICENSE', folder);
  return folder;
}

/** What `files` of package.json names. */
function filesOfTree(): string[] {
  const said = npm(['pack', '--dry-run', '--json', '--ignore-scripts'], process.cwd());
  const [packed] = JSON.parse(said) as [{ files: { path: string }[] }];
  return packed.files.map(({ path }) => path);
}

function copy(path: string, folder: string): void {
  const to = join(folder, path);
  mkdirSync(dirname(to), { recursive: true });
  cpSync(path, to);
}

function write(folder: string, name: string, value: object): void {
  writeFileSync(join(folder, name), `${JSON.stringify(value, undefined, 2)}\n`);
}

/** Packs a folder; the path of the tarball. */
function pack(folder: string): string {
  const said = npm(['pack', '--json', '--ignore-scripts', '--pack-destination', out], folder);
  const [{ filename }] = JSON.parse(said) as [{ filename: string }];
  return join(out, filename);
}

function npm(args: readonly string[], cwd: string): string {
  return execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}
