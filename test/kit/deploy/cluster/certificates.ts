/** The certificates by which the parts of a cluster know each other, made by openssl. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { API_SERVICE, NODE, NODE_ADDRESS } from './files.js';

interface Leaf {
  readonly name: string;
  readonly subject: string;
  readonly names?: readonly string[];
}

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
];

/** Those that ask the API, each with a kubeconfig. */
export const CLIENTS: readonly string[] = ['admin', 'controllers', 'scheduler', 'kubelet', 'proxy'];

/** Writes a root, a leaf and key for each part, and the key for tokens of service accounts. */
export function makeCertificates(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  const newKey = (name: string) =>
    openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', `${name}.key`);
  newKey('ca');
  openssl('req', '-x509', '-new', '-key', 'ca.key', '-subj', '/CN=cluster', '-days', '2', '-out', 'ca.crt');
  openssl('genrsa', '-out', 'accounts.key', '2048');
  openssl('rsa', '-in', 'accounts.key', '-pubout', '-out', 'accounts.pub');
  for (const { name, subject, names = [] } of LEAVES) {
    newKey(name);
    const lines = ['extendedKeyUsage=clientAuth,serverAuth'];
    if (names.length > 0) lines.push(`subjectAltName=${names.join(',')}`);
    writeFileSync(join(folder, `${name}.ext`), `${lines.join('\n')}\n`);
    openssl('req', '-new', '-key', `${name}.key`, '-subj', subject, '-out', `${name}.csr`);
    const by = [
      '-CA',
      'ca.crt',
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-days',
      '2',
      '-extfile',
      `${name}.ext`,
    ];
    openssl('x509', '-req', '-in', `${name}.csr`, ...by, '-out', `${name}.crt`);
  }
}
