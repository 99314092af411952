/** Podman for tests: with a store, networks and settings of its own, which are thrown away, beside whatever else it runs here. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Ran, run } from '../process/packed-package.js';

export class Podman {
  readonly folder = mkdtempSync(join(tmpdir(), 'outrider-podman-'));
  /** For other programs that start Podman. */
  readonly env: NodeJS.ProcessEnv;

  private constructor() {
    const files = { CONTAINERS_CONF: this.settings(), CONTAINERS_STORAGE_CONF: this.storage() };
    this.env = { ...process.env, ...files };
  }

  /** For `before` hooks: the suite is skipped, said loudly, where no container can be run. */
  static orSkip(context: Mocha.Context): Podman {
    const found = spawnSync('podman', ['--version']).status === 0;
    if (found && process.getuid?.() === 0) return new Podman();
    const why = found
      ? 'containers are tried as root only'
      : 'there is no podman (Debian packages podman, runc, catatonit)';
    process.stderr.write(`\nSKIPPING CONTAINERS: ${why}\n`);
    return context.skip();
  }

  /** Runs `podman ARGS` to its end. What it says of systemd, which is not there, is left out. */
  async run(...args: string[]): Promise<Ran> {
    const ran = await run('podman', args, this.folder, { env: this.env });
    const stderr = ran.stderr.split('\n').filter((line) => !/systemd|syslog/.test(line));
    return { ...ran, stderr: stderr.join('\n') };
  }

  /** Ends all containers of this store and removes it. */
  async close(): Promise<void> {
    await this.run('pod', 'rm', '--all', '--force', '--time', '0');
    await this.run('rm', '--all', '--force', '--time', '0');
    await this.run('network', 'prune', '--force');
    const mounts = spawnSync('findmnt', ['-rno', 'TARGET'], { encoding: 'utf8' }).stdout.split('\n');
    for (const mount of mounts.filter((each) => each.startsWith(this.folder)).reverse())
      spawnSync('umount', [mount]);
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Without systemd, and with no more open files than a container may be given here. */
  private settings(): string {
    const limit = execFileSync('bash', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }).trim();
    const files = limit === 'unlimited' ? '65536' : limit;
    const runc = existsSync('/usr/sbin/runc') || existsSync('/usr/bin/runc');
    return this.write('containers.conf', [
      '[containers]',
      `default_ulimits = ["nofile=${files}:${files}", "nproc=4096:4096"]`,
      'log_driver = "k8s-file"',
      '[engine]',
      ...(runc ? ['runtime = "runc"'] : []),
      'cgroup_manager = "cgroupfs"',
      'events_logger = "file"',
      '[network]',
      `network_config_dir = "${join(this.folder, 'networks')}"`,
    ]);
  }

  private storage(): string {
    return this.write('storage.conf', [
      '[storage]',
      'driver = "overlay"',
      `graphroot = "${join(this.folder, 'store')}"`,
      `runroot = "${join(this.folder, 'run')}"`,
    ]);
  }

  private write(name: string, lines: readonly string[]): string {
    const path = join(this.folder, name);
    writeFileSync(path, `${lines.join('\n')}\n`);
    return path;
  }
}
