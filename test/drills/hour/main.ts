/**
 * `npm run hour`: the pages of `docs/` as a newcomer follows them, in an empty folder and, as root, as a user made for it and removed
 * afterwards. Packages come from the registries, as they do for a reader. Prints the time of each step as a table.
 * Ends with 1 where a line does not do what its page says.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { chownSync, cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { REPOSITORY } from '../../kit/process/outrider.js';

const USER = 'outrider-newcomer';
const PAGES = fileURLToPath(new URL('./pages.js', import.meta.url));
const LIMIT_MS = 3_600_000;

const run = (command: string, ...args: string[]): string =>
  execFileSync(command, args, { cwd: REPOSITORY, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });

const home = mkdtempSync(join(tmpdir(), 'outrider-hour-'));
const isRoot = process.getuid?.() === 0;
try {
  // What a reader has beside the empty folder: a clone with its packages.
  const clone = join(home, 'outrider');
  mkdirSync(clone);
  run(process.execPath, 'dist/tools/pack/main.js', '--out', clone);
  cpSync(join(REPOSITORY, 'services/examples'), join(clone, 'services/examples'), { recursive: true });
  const as = isRoot ? ['runuser', '-u', USER, '--'] : [];
  if (isRoot) {
    run('useradd', '--home-dir', home, '--shell', '/bin/sh', USER);
    run('chown', '-R', USER, home);
    chownSync(home, Number(run('id', '-u', USER)), 0);
  }
  const [command, ...args] = [...as, process.execPath, PAGES, home];
  const { status, stdout } = spawnSync(command!, args, {
    cwd: home,
    env: { ...newcomersEnvironment(process.env), HOME: home },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: LIMIT_MS,
  });
  process.stdout.write(stdout);
  process.exitCode = status === 0 ? 0 : 1;
} finally {
  if (isRoot) spawnSync('userdel', [USER]);
  rmSync(home, { recursive: true, force: true });
}

/**
 * The variables without those that `npm run` has set: its cache is that of the user of the clone, and the programs of the clone are in its
 * PATH. What says how registries are reached stays.
 */
function newcomersEnvironment(own: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const isNpms = (name: string) =>
    name === 'INIT_CWD' ||
    (/^npm_/i.test(name) && !/^npm_config_(registry|cafile|(https?_)?proxy|noproxy)$/i.test(name));
  const folders = own['PATH']?.split(':').filter((folder) => !/node_modules|node-gyp/.test(folder));
  const kept = Object.entries(own).filter(([name]) => !isNpms(name));
  return { ...Object.fromEntries(kept), ...(folders === undefined ? {} : { PATH: folders.join(':') }) };
}
