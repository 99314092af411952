/** The certificates by which the parts of a cluster know each other, made by openssl. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { API_SERVICE, NODE, NODE_ADDRESS } from './files.js';

export interface Leaf {
  /** Of the files. */
  readonly name: string;
  readonly subject: string;
  /** As openssl writes them: `DNS:NAME`, `IP:ADDRESS`. */
  readonly names?: readonly string[];
}

/** As whom the API server passes requests on to other servers of the API. */
export const FRONT_PROXY = 'front-proxy';

const API_NAMES = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', 'localhost'];

const LEAVES: readonly Leaf[] = [
  {
    name: 'apiserver',
    subject: '/CN=kube-apiserver',
    names: [
      ...API_NAMES.map((name) => `DNS:${name}`),
      ...['127.0.0.1', NODE_ADDRESS, API_SERVICE].map((ip) => `IP:${ip}`),
    ],
  },
  { name: 'kubelet-server', subject: `/CN=${NODE}`, names: [`DNS:${NODE}`, `IP:${NODE_ADDRESS}`] },
  { name: 'admin', subject: '/O=system:masters/CN=admin' },
  { name: 'controllers', subject: '/CN=system:kube-controller-manager' },
  { name: 'scheduler', subject: '/CN=system:kube-scheduler' },
  { name: 'kubelet', subject: `/O=system:nodes/CN=system:node:${NODE}` },
  { name: 'proxy', subject: '/CN=system:kube-proxy' },
  { name: FRONT_PROXY, subject: `/CN=${FRONT_PROXY}` },
];

/** Those that ask the API, each with a kubeconfig. */
export const CLIENTS: readonly string[] = ['admin', 'controllers', 'scheduler', 'kubelet', 'proxy'];

/** Writes a root, a leaf and key for each part, and the key for tokens of service accounts. */
export function makeCertificates(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  newKey(folder, 'ca');
  openssl('req', '-x509', '-new', '-key', 'ca.key', '-subj', '/CN=cluster', '-days', '2', '-out', 'ca.crt');
  openssl('genrsa', '-out', 'accounts.key', '2048');
  openssl('rsa', '-in', 'accounts.key', '-pubout', '-out', 'accounts.pub');
  for (const leaf of LEAVES) makeLeaf(folder, leaf);
}

/** Writes a certificate and key that the root in the same folder has signed. */
export function makeLeaf(folder: string, { name, subject, names = [] }: Leaf): void {
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  newKey(folder, name);
  const lines = ['extendedKeyUsage=clientAuth,serverAuth'];
  if (names.length > 0) lines.push(`subjectAltName=${names.join(',')}`);
  writeFileSync(join(folder, `${name}.ext`), `${lines.join('\n')}\n`);
  openssl('req', '-new', '-key', `${name}.key`, '-subj', subject, '-out', `${name}.csr`);
  const by = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2'];
  const extensions = ['-extfile', `${name}.ext`];
  openssl('x509', '-req', '-in', `${name}.csr`, ...by, ...extensions, '-out', `${name}.crt`);
}

function newKey(folder: string, name: string): void {
  const args = ['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', `${name}.key`];
  execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
}
