/**
 * A real KEDA beside the parts of a cluster: its operator and its metrics server as processes of the node, built from its module. The name of the
 * service that has the metrics and the definitions of its objects are KEDA's own.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { testFile } from '../../process/tools.js';
import { makeLeaf } from './certificates.js';
import type { Cluster } from './cluster.js';
import { NODE_ADDRESS } from './files.js';

const NAMESPACE = 'keda';
const SERVICE = 'keda-metrics-apiserver';
const MODULE = 'github.com/kedacore/keda/v2';
/** Of the metrics server; the API server has 6443. */
const PORT = 6444;
const OPERATOR_PORT = 9666;

/** Starts both; it is ready when Kubernetes can read metrics from it. @param programs folder of the two. */
export async function startKeda(cluster: Cluster, programs: string): Promise<void> {
  const { folder } = cluster;
  const list = ['-C', testFile('deploy', 'keda'), 'list', '-m', '-f', '{{.Dir}}', MODULE];
  const definitions = join(execFileSync('go', list, { encoding: 'utf8' }).trim(), 'config/crd/bases');
  // Too large for the annotation of a client-side apply.
  for (const file of readdirSync(definitions).sort())
    await cluster.said('apply', '--server-side', '-f', join(definitions, file));
  await cluster.apply('keda.json', { apiVersion: 'v1', kind: 'List', items: objectsOf() });

  const pki = join(folder, 'pki');
  const names = [`DNS:${SERVICE}.${NAMESPACE}.svc`, 'IP:127.0.0.1'];
  makeLeaf(pki, { name: 'keda', subject: '/CN=keda', names });
  const certs = join(folder, 'keda');
  mkdirSync(certs);
  for (const [from, to] of [
    ['keda.crt', 'tls.crt'],
    ['keda.key', 'tls.key'],
    ['ca.crt', 'ca.crt'],
  ] as const)
    copyFileSync(join(pki, from), join(certs, to));

  const conf = join(folder, 'admin.conf');
  const env = ['env', `KUBECONFIG=${conf}`, `POD_NAMESPACE=${NAMESPACE}`, 'WATCH_NAMESPACE='];
  cluster.startMore('keda-operator', [
    // It asks scalers by the names that pods know.
    ...['unshare', '-m', 'sh', '-ec', 'mount --bind resolv.conf /etc/resolv.conf; exec "$@"', 'sh'],
    ...env,
    `KEDA_CLUSTER_OBJECT_NAMESPACE=${NAMESPACE}`,
    join(programs, 'operator'),
    `--cert-dir=${certs}`,
    `--metrics-service-bind-address=127.0.0.1:${OPERATOR_PORT}`,
    '--metrics-bind-address=0',
    '--health-probe-bind-address=127.0.0.1:9667',
  ]);
  cluster.startMore('keda-adapter', [
    ...env,
    join(programs, 'adapter'),
    `--secure-port=${PORT}`,
    `--metrics-service-address=127.0.0.1:${OPERATOR_PORT}`,
    '--port=9668',
    `--cert-dir=${certs}`,
    `--tls-cert-file=${certs}/tls.crt`,
    `--tls-private-key-file=${certs}/tls.key`,
    `--client-ca-file=${certs}/ca.crt`,
    ...['lister', 'authentication', 'authorization'].map((flag) => `--${flag}-kubeconfig=${conf}`),
    '--logtostderr=true',
  ]);
  const wait = ['wait', '--for=condition=Available', 'apiservice/v1beta1.external.metrics.k8s.io'];
  await cluster.said(...wait, '--timeout=90s');
}

function objectsOf(): object[] {
  const metadata = { name: SERVICE, namespace: NAMESPACE };
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } },
    { apiVersion: 'v1', kind: 'Service', metadata, spec: { ports: [{ name: 'https', port: 443 }] } },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { ...metadata, labels: { 'kubernetes.io/service-name': SERVICE } },
      addressType: 'IPv4',
      ports: [{ name: 'https', port: PORT }],
      endpoints: [{ addresses: [NODE_ADDRESS], conditions: { ready: true } }],
    },
    {
      apiVersion: 'apiregistration.k8s.io/v1',
      kind: 'APIService',
      metadata: { name: 'v1beta1.external.metrics.k8s.io' },
      spec: {
        group: 'external.metrics.k8s.io',
        version: 'v1beta1',
        service: { name: SERVICE, namespace: NAMESPACE },
        insecureSkipTLSVerify: true,
        groupPriorityMinimum: 100,
        versionPriority: 100,
      },
    },
  ];
}
