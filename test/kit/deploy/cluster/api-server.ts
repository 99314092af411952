/** A real Kubernetes API on loopback: etcd and the API server, and nothing else of a cluster. Needs no root. */

import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ChildProcessHandle } from '../../../../sidecar/supervise/child-process.js';
import { freePort } from '../../process/free-port.js';
import { until } from '../../process/processes.js';
import { makeCertificates } from './certificates.js';
import { NODE_ADDRESS, SERVICES } from './files.js';

const HOST = '127.0.0.1';
const START_LIMIT_MS = 120_000;
/** Of the administrator, and of sidecars: they may read what a sidecar reads. */
const ADMIN_TOKEN = 'admin-of-a-test';
const SIDECAR_TOKEN = 'sidecar-of-a-test';
const ROLE = {
  metadata: { name: 'sidecars' },
  rules: [
    { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['get', 'list', 'watch'] },
    { apiGroups: [''], resources: ['services'], verbs: ['get'] },
  ],
};
const BINDING = {
  metadata: { name: 'sidecars' },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'sidecars' },
  subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'sidecars' }],
};

const running = new Set<ApiServer>();
process.on('exit', () => {
  for (const server of running) server.discard();
});

export class ApiServer {
  private readonly folder = mkdtempSync(join(tmpdir(), 'outrider-api-'));
  private readonly parts: ChildProcessHandle[] = [];
  private readonly exits: Promise<string>[] = [];
  private readonly pki = join(this.folder, 'pki');
  readonly caFile = join(this.pki, 'ca.crt');
  /** Of a sidecar. */
  readonly tokenFile = join(this.folder, 'token');

  private constructor(
    private readonly programs: string,
    private readonly port: number,
  ) {
    running.add(this);
  }

  /** @param programs folder of the program of all parts. Resolves when it answers and sidecars may read. */
  static async start(programs: string): Promise<ApiServer> {
    const server = new ApiServer(programs, await freePort());
    try {
      await server.launch(await freePort(2));
      return server;
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  get url(): string {
    return `https://${HOST}:${this.port}`;
  }

  /** Of etcd and of the API server. */
  pids(): number[] {
    return this.parts.flatMap(({ pid }) => pid ?? []);
  }

  async version(): Promise<string> {
    const { gitVersion } = (await this.ask('GET', '/version')) as { gitVersion: string };
    return gitVersion;
  }

  /** As the administrator. @throws Error for any other status than 2xx. */
  ask(method: string, path: string, body?: object): Promise<unknown> {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' };
    const ca = readFileSync(this.caFile);
    return new Promise((resolve, reject) => {
      const sent = request(`${this.url}${path}`, { method, headers, ca }, (response) => {
        const chunks: Buffer[] = [];
        response.on('error', reject).on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          const { statusCode: status = 0 } = response;
          if (status < 200 || status > 299) reject(new Error(`${method} ${path}: ${status} ${text}`));
          else resolve(text.startsWith('{') ? JSON.parse(text) : text);
        });
      });
      sent.on('error', reject);
      sent.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  /** Ends both, and removes their files. */
  async stop(): Promise<void> {
    for (const part of this.parts) part.signal('SIGKILL');
    await Promise.all(this.exits);
    this.discard();
  }

  /** Without waiting for their end. */
  discard(): void {
    for (const part of this.parts) part.signal('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
    running.delete(this);
  }

  private async launch(etcdPort: number): Promise<void> {
    const { folder, pki } = this;
    mkdirSync(pki);
    makeCertificates(pki);
    writeFileSync(this.tokenFile, SIDECAR_TOKEN, { mode: 0o600 });
    const accounts = `${ADMIN_TOKEN},admin,admin,"system:masters"\n${SIDECAR_TOKEN},sidecar,sidecar,"sidecars"\n`;
    writeFileSync(join(folder, 'tokens.csv'), accounts, { mode: 0o600 });
    const etcd = `http://${HOST}:${etcdPort}`;
    const peer = `http://${HOST}:${etcdPort + 1}`;
    this.spawn(
      'etcd',
      `--data-dir=${folder}/data`,
      `--listen-client-urls=${etcd}`,
      `--advertise-client-urls=${etcd}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=default=${peer}`,
      '--unsafe-no-fsync',
    );
    this.spawn(
      'kube-apiserver',
      `--etcd-servers=${etcd}`,
      `--bind-address=${HOST}`,
      `--secure-port=${this.port}`,
      `--advertise-address=${NODE_ADDRESS}`,
      '--endpoint-reconciler-type=none',
      `--service-cluster-ip-range=${SERVICES}`,
      '--authorization-mode=RBAC',
      `--token-auth-file=${folder}/tokens.csv`,
      `--tls-cert-file=${pki}/apiserver.crt`,
      `--tls-private-key-file=${pki}/apiserver.key`,
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-key-file=${pki}/accounts.pub`,
      `--service-account-signing-key-file=${pki}/accounts.key`,
    );
    await until('the API answers', () => this.isReady(), START_LIMIT_MS);
    const rbac = '/apis/rbac.authorization.k8s.io/v1';
    await this.ask('POST', `${rbac}/clusterroles`, ROLE);
    await this.ask('POST', `${rbac}/clusterrolebindings`, BINDING);
  }

  private async isReady(): Promise<boolean> {
    if (this.parts.some(({ alive }) => !alive))
      throw new Error(`a part of the API has ended:\n${this.log()}`);
    return this.ask('GET', '/readyz').then(
      () => true,
      () => false,
    );
  }

  private spawn(name: string, ...args: string[]): void {
    const program = join(this.folder, name);
    symlinkSync(join(this.programs, 'kubernetes'), program);
    const log = openSync(join(this.folder, `${name}.log`), 'a');
    this.exits.push(
      new Promise((onExit) => {
        const streams = { env: process.env, stdout: log, stderr: log };
        this.parts.push(new ChildProcessHandle([program, ...args], { ...streams, onExit }));
      }),
    );
    closeSync(log);
  }

  private log(): string {
    const tail = (name: string) =>
      readFileSync(join(this.folder, `${name}.log`), 'utf8')
        .split('\n')
        .slice(-12);
    return [...tail('etcd'), ...tail('kube-apiserver')].join('\n');
  }
}
