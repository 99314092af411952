/**
 * A real Kubernetes of one node for tests, built from its Go modules: etcd, API server, controllers, scheduler, kubelet, kube-proxy and CoreDNS
 * as processes, and Debian's containerd. All of it runs in a network namespace of its own and below one folder.
 */

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Ran, run } from '../../process/packed-package.js';
import { until } from '../../process/processes.js';
import { toolOrSkip } from '../../process/tools.js';
import { CLIENTS, FRONT_PROXY, makeCertificates } from './certificates.js';
import * as files from './files.js';
import { NAMESPACE, type Remains, remainsOf, removeRemains } from './remains.js';

const VETH = 'outrider-node0';
const PARTS = [
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kubelet',
  'kube-proxy',
  'kubectl',
];
/** What the others need, in the order in which it is ended. */
const LAST: readonly string[] = ['apiserver', 'etcd', 'containerd'];
const GUARD = fileURLToPath(new URL('./guard.js', import.meta.url));
const STEP_LIMIT_MS = 120_000;
/** Of a container that is to run out of memory. */
const SPARE_BYTES = 2 * 1024 * 1024;

interface Started {
  readonly name: string;
  readonly command: readonly string[];
  child: ChildProcess;
}

export class Cluster {
  readonly folder = mkdtempSync(join(tmpdir(), 'outrider-cluster-'));
  private readonly paths = files.pathsIn(this.folder);
  private readonly bin = join(this.folder, 'bin');
  private readonly started: Started[] = [];
  private readonly remains: Remains;
  private readonly guard: ChildProcess;

  /** @param folders what else is removed with the cluster. */
  private constructor(
    private readonly programs: string,
    folders: readonly string[],
  ) {
    this.remains = remainsOf(this.folder, ...folders);
    // A session of its own: Ctrl-C in a terminal goes to all processes of this one's.
    const args = [GUARD, JSON.stringify(this.remains)];
    this.guard = spawn(process.execPath, args, { detached: true, stdio: ['pipe', 'ignore', 'inherit'] });
    this.guard.unref();
  }

  /**
   * For `before` hooks: starts one; the suite is skipped, said loudly, where none can be had. However this process ends, the cluster is
   * removed, and these folders with it.
   */
  static async orSkip(context: Mocha.Context, folders: readonly string[] = []): Promise<Cluster> {
    if (process.getuid?.() !== 0) {
      process.stderr.write('\nSKIPPING KUBERNETES: a cluster is tried as root only\n');
      return context.skip();
    }
    await toolOrSkip(context, 'containerd');
    const programs = await toolOrSkip(context, 'kubernetes-cluster');
    const cluster = new Cluster(programs, folders);
    try {
      await cluster.start();
    } catch (error) {
      await cluster.close();
      throw error;
    }
    return cluster;
  }

  /** Runs kubectl to its end. */
  kubectl(...args: string[]): Promise<Ran> {
    return this.runAsAdmin(join(this.bin, 'kubectl'), ...args);
  }

  /** Runs a program that takes `--kubeconfig`, such as Helm, to its end. */
  runAsAdmin(program: string, ...args: string[]): Promise<Ran> {
    return this.inside(program, '--kubeconfig', join(this.folder, 'admin.conf'), ...args);
  }

  /** Ends one part of the cluster, such as `apiserver` or `coredns`. */
  async stopPart(name: string): Promise<void> {
    await this.stop(name);
  }

  /** Starts a part again that was ended. */
  startPart(name: string): void {
    const part = this.started.find((each) => each.name === name)!;
    part.child = this.spawnPart(name, part.command);
  }

  /** Starts a program on the node beside the parts of the cluster, with which it is ended. */
  startMore(name: string, command: readonly string[]): void {
    this.spawn(name, ...command);
  }

  /** Applies objects of the API. @param file name of the file that they are written to. */
  async apply(file: string, objects: object): Promise<void> {
    const path = join(this.folder, file);
    writeFileSync(path, JSON.stringify(objects));
    await this.said('apply', '-f', path);
  }

  /**
   * Leaves a container no more memory than it has now, and a little: with the next that it takes, the kernel kills its largest process. The
   * next container of the pod has the limit of its manifest.
   */
  starve(container: string): void {
    const find = `find /sys/fs/cgroup -type d -name '${container}' -path '*kubepods*'`;
    const folders = execFileSync('sh', ['-c', find], { encoding: 'utf8' }).split('\n').filter(Boolean);
    for (const folder of folders)
      for (const [usage, limit] of [
        ['memory.usage_in_bytes', 'memory.limit_in_bytes'],
        ['memory.current', 'memory.max'],
      ] as const) {
        if (!existsSync(join(folder, limit))) continue;
        const bytes = Number(readFileSync(join(folder, usage), 'utf8')) + SPARE_BYTES;
        writeFileSync(join(folder, limit), String(bytes));
      }
  }

  /** Standard output of a kubectl that succeeds. @throws with what it said otherwise. */
  async said(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.kubectl(...args);
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}${stdout}`);
    return stdout.trim();
  }

  /** Gives the node an image, of an archive as `podman save` writes it, packed by gzip or not. */
  load(archive: string): void {
    const read = archive.endsWith('.gz') ? 'gunzip -c' : 'cat';
    const script = `${read} "$1" | ctr -a "$2" -n k8s.io images import -`;
    execFileSync('bash', ['-euo', 'pipefail', '-c', script, 'bash', archive, this.paths.socket], {
      stdio: 'pipe',
    });
  }

  /** Last lines of what a part wrote. */
  log(name: string): string {
    return readFileSync(join(this.folder, `${name}.log`), 'utf8')
      .split('\n')
      .slice(-20)
      .join('\n');
  }

  private async start(): Promise<void> {
    const { folder, paths } = this;
    this.writeFiles();
    this.makeNetwork();
    this.spawn('containerd', 'containerd', '-c', join(folder, 'containerd.toml'));
    const etcd = 'http://127.0.0.1:2379';
    const peer = '--listen-peer-urls=http://127.0.0.1:2380';
    const data = `--data-dir=${folder}/etcd`;
    this.spawn(
      'etcd',
      this.part('etcd'),
      data,
      `--listen-client-urls=${etcd}`,
      `--advertise-client-urls=${etcd}`,
      peer,
      '--unsafe-no-fsync',
    );
    this.spawn('apiserver', this.part('kube-apiserver'), ...this.apiFlags(etcd));
    await this.until(
      'the API answers',
      async () => (await this.kubectl('get', '--raw', '/readyz')).code === 0,
    );
    const { pki } = paths;
    const local = ['--bind-address=127.0.0.1', '--leader-elect=false'];
    const as = (name: string) =>
      ['kubeconfig', 'authentication-kubeconfig', 'authorization-kubeconfig'].map(
        (flag) => `--${flag}=${folder}/${name}.conf`,
      );
    const signing = [
      `--service-account-private-key-file=${pki}/accounts.key`,
      `--root-ca-file=${pki}/ca.crt`,
      '--use-service-account-credentials',
    ];
    this.spawn(
      'controllers',
      this.part('kube-controller-manager'),
      ...as('controllers'),
      ...local,
      ...signing,
    );
    this.spawn('scheduler', this.part('kube-scheduler'), ...as('scheduler'), ...local);
    await this.until(
      'containerd answers',
      () => existsSync(paths.socket) && spawnSync('ctr', ['-a', paths.socket, 'version']).status === 0,
    );
    this.loadPause();
    const places = [`--root-dir=${folder}/kubelet`, `--cert-dir=${folder}/kubelet-pki`];
    this.spawn(
      'kubelet',
      this.part('kubelet'),
      `--config=${folder}/kubelet.yaml`,
      `--kubeconfig=${folder}/kubelet.conf`,
      `--hostname-override=${files.NODE}`,
      `--node-ip=${files.NODE_ADDRESS}`,
      ...places,
    );
    this.spawn('proxy', this.part('kube-proxy'), `--config=${folder}/proxy.yaml`);
    this.spawn('coredns', join(this.programs, 'coredns'), '-conf', join(folder, 'Corefile'));
    await this.until(
      'the node is ready',
      async () =>
        (await this.kubectl('wait', '--for=condition=Ready', `node/${files.NODE}`, '--timeout=1s')).code ===
        0,
    );
    await this.until(
      'there is a service account',
      async () => (await this.kubectl('get', 'serviceaccount', 'default')).code === 0,
    );
  }

  private apiFlags(etcd: string): string[] {
    const { pki } = this.paths;
    return [
      `--etcd-servers=${etcd}`,
      `--advertise-address=${files.NODE_ADDRESS}`,
      `--bind-address=${files.NODE_ADDRESS}`,
      `--service-cluster-ip-range=${files.SERVICES}`,
      '--authorization-mode=Node,RBAC',
      '--enable-admission-plugins=NodeRestriction',
      '--allow-privileged=true',
      `--client-ca-file=${pki}/ca.crt`,
      `--tls-cert-file=${pki}/apiserver.crt`,
      `--tls-private-key-file=${pki}/apiserver.key`,
      `--kubelet-client-certificate=${pki}/admin.crt`,
      `--kubelet-client-key=${pki}/admin.key`,
      `--kubelet-certificate-authority=${pki}/ca.crt`,
      '--kubelet-preferred-address-types=InternalIP',
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-key-file=${pki}/accounts.pub`,
      `--service-account-signing-key-file=${pki}/accounts.key`,
      // Servers of further parts of the API believe it, and no other client, whose request it passes on.
      `--requestheader-client-ca-file=${pki}/ca.crt`,
      `--requestheader-allowed-names=${FRONT_PROXY}`,
      '--requestheader-username-headers=X-Remote-User',
      '--requestheader-group-headers=X-Remote-Group',
      '--requestheader-extra-headers-prefix=X-Remote-Extra-',
      `--proxy-client-cert-file=${pki}/${FRONT_PROXY}.crt`,
      `--proxy-client-key-file=${pki}/${FRONT_PROXY}.key`,
    ];
  }

  private writeFiles(): void {
    const { folder, paths, bin } = this;
    mkdirSync(bin);
    for (const name of PARTS) symlinkSync(join(this.programs, 'kubernetes'), join(bin, name));
    makeCertificates(paths.pki);
    for (const name of CLIENTS) writeFileSync(join(folder, `${name}.conf`), files.kubeconfig(paths, name));
    mkdirSync(join(folder, 'cni'));
    const texts = {
      'containerd.toml': files.containerdConfig(paths),
      'cni/10-pods.conflist': files.networkConfig(paths),
      'kubelet.yaml': files.kubeletConfig(paths),
      'proxy.yaml': files.proxyConfig(paths),
      Corefile: files.dnsConfig(paths),
      'resolv.conf': `nameserver ${files.NODE_ADDRESS}\n`,
    };
    for (const [name, text] of Object.entries(texts)) writeFileSync(join(folder, name), text);
  }

  /** A namespace whose only address is the node's. `ip netns exec` would hide /sys/fs/cgroup, so that nsenter is used. */
  private makeNetwork(): void {
    const ip = (...args: string[]) => execFileSync('ip', args, { stdio: 'pipe' });
    const within = (...args: string[]) => ip('-n', NAMESPACE, ...args);
    ip('netns', 'add', NAMESPACE);
    within('link', 'set', 'lo', 'up');
    within('link', 'add', VETH, 'type', 'veth', 'peer', 'name', `${VETH.slice(0, -1)}1`);
    within('link', 'set', `${VETH.slice(0, -1)}1`, 'up');
    within('addr', 'add', `${files.NODE_ADDRESS}/24`, 'dev', VETH);
    within('link', 'set', VETH, 'up');
    within('route', 'add', 'default', 'via', files.NODE_ADDRESS);
    const settings =
      'echo 1 > /proc/sys/net/ipv4/ip_forward; [ ! -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables';
    execFileSync('nsenter', [`--net=/run/netns/${NAMESPACE}`, 'sh', '-c', settings]);
  }

  /** An image of one static program. */
  private loadPause(): void {
    const layer = join(this.folder, 'pause-layer.tar');
    const sh = (script: string) =>
      execFileSync('sh', ['-ec', script], { cwd: this.folder, encoding: 'utf8' });
    const digest = sh(
      `tar -C ${this.programs} --owner=0 --group=0 -cf ${layer} pause; sha256sum ${layer}`,
    ).slice(0, 64);
    const config = {
      architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
      os: 'linux',
      config: { Entrypoint: ['/pause'], User: '65535:65535' },
      rootfs: { type: 'layers', diff_ids: [`sha256:${digest}`] },
    };
    const manifest = [{ Config: 'config.json', RepoTags: [files.PAUSE_IMAGE], Layers: ['pause-layer.tar'] }];
    writeFileSync(join(this.folder, 'config.json'), JSON.stringify(config));
    writeFileSync(join(this.folder, 'manifest.json'), JSON.stringify(manifest));
    sh('tar -cf pause.tar config.json manifest.json pause-layer.tar');
    this.load(join(this.folder, 'pause.tar'));
  }

  private part(name: string): string {
    return join(this.bin, name);
  }

  private inside(...command: string[]): Promise<Ran> {
    return run('nsenter', [`--net=/run/netns/${NAMESPACE}`, ...command], this.folder, {
      limitMs: STEP_LIMIT_MS,
    });
  }

  private ctr(...args: string[]): string {
    return execFileSync('ctr', ['-a', this.paths.socket, '-n', 'k8s.io', ...args], {
      encoding: 'utf8',
      stdio: 'pipe',
    });
  }

  private spawn(name: string, ...command: string[]): void {
    this.started.push({ name, command, child: this.spawnPart(name, command) });
  }

  private spawnPart(name: string, command: readonly string[]): ChildProcess {
    const log = openSync(join(this.folder, `${name}.log`), 'a');
    const args = [`--net=/run/netns/${NAMESPACE}`, ...command];
    return spawn('nsenter', args, { stdio: ['ignore', log, log], cwd: this.folder });
  }

  private async until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
    await until(
      what,
      async () => {
        for (const { name, child } of this.started)
          if (child.exitCode !== null) throw new Error(`${name} has ended: ${this.log(name)}`);
        return holds();
      },
      STEP_LIMIT_MS,
    );
  }

  /** Ends all containers and parts, and removes what they left on the machine. */
  async close(): Promise<void> {
    await this.stop('kubelet');
    for (const { name } of this.started.filter(({ name }) => !LAST.includes(name))) await this.stop(name);
    this.removeContainers();
    for (const name of LAST) await this.stop(name);
    removeRemains({ ...this.remains, folders: [this.folder] });
    this.guard.stdin!.end('removed');
  }

  private removeContainers(): void {
    if (spawnSync('ctr', ['-a', this.paths.socket, 'version']).status !== 0) return;
    const list = (what: string) => this.ctr(what, 'ls', '-q').split('\n').filter(Boolean);
    for (const id of list('tasks'))
      spawnSync('ctr', ['-a', this.paths.socket, '-n', 'k8s.io', 'tasks', 'rm', '-f', id]);
    for (const id of list('containers'))
      spawnSync('ctr', ['-a', this.paths.socket, '-n', 'k8s.io', 'containers', 'rm', id]);
  }

  private async stop(name: string): Promise<void> {
    const child = this.started.find((each) => each.name === name)?.child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await ended;
    clearTimeout(timer);
  }
}
