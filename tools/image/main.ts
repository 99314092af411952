/**
 * `npm run image [-- --out DIR] [--only sidecar] [--prefix PREFIX]`: the container images `PREFIX/outrider:VERSION` and
 * `PREFIX/outrider-models:VERSION`, with `localhost` where no prefix is given,
 * from scratch and without a registry: Node and its libraries are those of this machine. With `--out` also as archives for
 * `podman load` and `docker load` on others. The tree has to be built; it needs Podman.
 */
import { execFileSync } from 'node:child_process';
import {
  createReadStream,
  createWriteStream,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { createGzip } from 'node:zlib';
import { USER_ID, writeModelsFiles, writeSidecarFiles } from './rootfs.js';

const CONTAINERFILE = 'mesh-config/deploy/container/Containerfile';
const IMAGES = [
  { target: 'sidecar', name: 'outrider' },
  { target: 'models', name: 'outrider-models' },
] as const;

const { values } = parseArgs({
  options: {
    out: { type: 'string' },
    only: { type: 'string' },
    prefix: { type: 'string', default: 'localhost' },
  },
});
const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
const context = mkdtempSync(join(tmpdir(), 'outrider-image-'));
const tell = (what: string): void => void process.stderr.write(`${what}…\n`);
try {
  tell('packing the program');
  const [archive] = run(process.execPath, ['dist/tools/pack/main.js', '--out', context]).split('\n');
  for (const { target } of IMAGES) mkdirSync(join(context, target));
  writeSidecarFiles(join(context, 'sidecar'), archive!);
  writeModelsFiles(join(context, 'models'), join(context, 'sidecar'));
  for (const { target, name } of IMAGES)
    if (values.only === undefined || values.only === target)
      await build(target, `${values.prefix}/${name}:${version}`);
} finally {
  rmSync(context, { recursive: true, force: true });
}

/** Builds an image and prints its name, and how large it is packed by gzip, which is what a registry would keep. */
async function build(target: string, name: string): Promise<void> {
  tell(`building and packing ${name}`);
  // Docker's format has health checks, which OCI's has not.
  const how = ['--format', 'docker', '--network', 'none', '--quiet', '--target', target];
  run('podman', ['build', ...how, '--tag', name, '--file', CONTAINERFILE, context]);
  const tar = join(context, `${target}.tar`);
  run('podman', ['save', '--quiet', '--output', tar, name]);
  const folder = values.out ?? context;
  mkdirSync(folder, { recursive: true });
  const packed = join(folder, `${name.replace(/^.*\//, '').replace(':', '-')}.tar.gz`);
  await pipeline(createReadStream(tar), createGzip(), createWriteStream(packed));
  const [mb, packedMb] = [tar, packed].map((path) => (statSync(path).size / 1e6).toFixed(1));
  const where = values.out === undefined ? '' : `, ${packed}`;
  process.stdout.write(`${name}: ${packedMb} MB compressed, ${mb} MB unpacked, user ${USER_ID}${where}\n`);
  rmSync(tar);
}

function run(command: string, args: readonly string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}
