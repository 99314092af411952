/** The files of an image, as a folder: Node with its libraries, an init, the packed program and what it depends on, all with their licences. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { licencesOf } from './licences.js';
import { type Lock, lockClosure } from './lock-closure.js';
import { sharedLibraries } from './shared-libraries.js';

/** The user that programs of the image run as. */
export const USER_ID = 10_001;
/** Where the program lies in the image. */
const HOME = '/opt/outrider';
/** Small inits: they pass signals on, and collect processes whose parents have ended. Debian packages of the same names. */
const INITS = ['/usr/bin/catatonit', '/usr/libexec/podman/catatonit', '/usr/bin/tini-static'];
const USERS = ['root:x:0:0:root:/root:/sbin/nologin', `outrider:x:${USER_ID}:${USER_ID}::/tmp:/sbin/nologin`];
const GROUPS = ['root:x:0:', `outrider:x:${USER_ID}:`];

/**
 * Writes the files of the sidecar's image below `root`.
 *
 * @param archive what `npm run pack` has made of the program.
 * @throws Error that names what this machine lacks.
 */
export function writeSidecarFiles(root: string, archive: string): void {
  const init = INITS.find(existsSync);
  if (init === undefined) throw new Error('there is no init for the image: apt-get install catatonit');
  copyProgram(root, process.execPath, '/usr/local/bin/node');
  strip(join(root, 'usr/local/bin/node'));
  copyProgram(root, init, '/usr/local/bin/init');
  copyProgram(root, '/usr/bin/env', '/usr/bin/env'); // finds Node for scripts, such as `outrider` itself
  const program = join(HOME, 'node_modules/outrider');
  unpack(archive, join(root, program));
  symlinkSync(join(program, 'dist/sidecar/main.js'), join(root, 'usr/local/bin/outrider'));
  chmodSync(join(root, program, 'dist/sidecar/main.js'), 0o755);
  const { dependencies } = readJson<{ dependencies: object }>(join(root, program, 'package.json'));
  copyPackages(root, Object.keys(dependencies));
  writeEtc(root);
  mkdirSync(join(root, 'tmp'));
  chmodSync(join(root, 'tmp'), 0o1777);
}

/**
 * Writes what the image with the model server has beyond the sidecar's, whose files are in `base`: the inference runtime for
 * this system, with its libraries.
 */
export function writeModelsFiles(root: string, base: string): void {
  const { platform, arch } = process;
  copyPackages(root, ['onnxruntime-node'], (path) => {
    const [, system, processor] = /\/bin\/napi-v\d+\/(\w+)(?:\/(\w+))?/.exec(path) ?? [];
    return (system ?? platform) === platform && (processor ?? arch) === arch;
  });
  const runtime = join(root, HOME, 'node_modules/onnxruntime-node/bin');
  const files = readdirSync(runtime, { recursive: true, encoding: 'utf8' });
  for (const file of files.filter((name) => /\.(?:node|so(?:\.\d+)*)$/.test(name)))
    for (const library of sharedLibraries(linkedWith(join(runtime, file))))
      if (![root, base].some((at) => existsSync(join(at, library))) && !library.startsWith(root))
        copyLicensed(root, library, library);
}

/** With the libraries that it is linked with, where the linker finds them here. */
function copyProgram(root: string, from: string, to: string): void {
  copyLicensed(root, from, to);
  for (const library of sharedLibraries(linkedWith(from)))
    if (!existsSync(join(root, library))) copyLicensed(root, library, library);
}

/** What `ldd` prints; it ends with an error for a static program. */
function linkedWith(program: string): string {
  try {
    return execFileSync('ldd', [program], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    return '';
  }
}

/** Symbols are a tenth of Node and only for debuggers; what add-ons link with stays. Left as it is without `strip`. */
function strip(program: string): void {
  try {
    execFileSync('strip', ['--strip-unneeded', program], { stdio: 'ignore' });
  } catch {
    process.stderr.write('there is no strip (Debian package binutils): Node keeps its symbols\n');
  }
}

function copyPackages(root: string, names: readonly string[], filter = (_path: string) => true): void {
  const lock = readJson<Lock>('package-lock.json');
  for (const folder of lockClosure(lock, names))
    cpSync(folder, join(root, HOME, folder), {
      recursive: true,
      dereference: true,
      // Packages below are listed by themselves, where they are needed.
      filter: (path) => filter(path) && !(path !== folder && basename(path) === 'node_modules'),
    });
}

function unpack(archive: string, folder: string): void {
  mkdirSync(folder, { recursive: true });
  execFileSync('tar', ['xzf', archive, '--strip-components=1', '--no-same-owner', '-C', folder]);
}

function writeEtc(root: string): void {
  mkdirSync(join(root, 'etc/outrider'), { recursive: true });
  writeFileSync(join(root, 'etc/passwd'), `${USERS.join('\n')}\n`);
  writeFileSync(join(root, 'etc/group'), `${GROUPS.join('\n')}\n`);
  writeFileSync(join(root, 'etc/nsswitch.conf'), 'hosts: files dns\n');
}

function copy(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  cpSync(from, to, { dereference: true });
}

/** A program or library of this machine, with the texts of its licence at the places that they have here. */
function copyLicensed(root: string, from: string, to: string): void {
  copy(from, join(root, to));
  const texts = licencesOf(from);
  if (texts.length === 0)
    process.stderr.write(`there is no licence text of ${from}: it is not in the image\n`);
  for (const text of texts)
    copy(text, join(root, text.startsWith('/usr/share/') ? text : `/usr/share/doc/${basename(to)}/LICENSE`));
}

function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(path, 'utf8')) as T;
}
