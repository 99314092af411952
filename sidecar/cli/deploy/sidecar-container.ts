/** How a sidecar stands in a pod. */
export interface SidecarParts {
  /** `native`: an init container with `restartPolicy: Always` (Kubernetes 1.29 and later), which starts before and ends after the others. */
  readonly as: 'native' | 'container';
  readonly image: string;
  /** The containers of the pod begin once each upstream has been reached: for a job, which would fail otherwise. Default: false. */
  readonly waitsForUpstreams?: boolean;
  /** It watches endpoints by the Kubernetes API, and gets the token of the pod's account. Default: false. */
  readonly watchesEndpoints?: boolean;
  /** ConfigMap with the key `sidecar.yaml`. */
  readonly config: string;
}

/** The port of `observe` in the sidecar's file, which probes and Prometheus ask. */
const OBSERVE_PORT = 9464;
/** The port of `inbound.listen`. */
const PEERS_PORT = 9443;
/** For so long a job waits for its upstreams until its sidecar begins anew, s. */
const MOST_WAIT_S = 600;
/** The token of the pod's account, for the sidecar alone. */
const ACCOUNT = 'outrider-account';
const ACCOUNT_PATH = '/var/run/secrets/kubernetes.io/serviceaccount';
const ACCOUNT_VOLUME = {
  name: ACCOUNT,
  projected: {
    sources: [
      { serviceAccountToken: { path: 'token', expirationSeconds: 3_600 } },
      { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
      { downwardAPI: { items: [{ path: 'namespace', fieldRef: { fieldPath: 'metadata.namespace' } }] } },
    ],
  },
};
/** The user of the image. */
export const USER_ID = 10_001;

/** The container, as the files in mesh-config/deploy/kubernetes have it. */
export function sidecarContainer({
  as,
  image,
  waitsForUpstreams = false,
  watchesEndpoints = false,
}: SidecarParts): object {
  const probe = (path: string) => ({ httpGet: { path, port: 'observe' } });
  return {
    name: 'outrider',
    image,
    ...(as === 'native' ? { restartPolicy: 'Always' } : {}),
    args: ['sidecar', '-c', '/etc/outrider/sidecar.yaml'],
    env: [
      { name: 'OUTRIDER_INSTANCE', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      { name: 'OUTRIDER_ADDRESS', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
    ],
    ports: [
      { name: 'peers', containerPort: PEERS_PORT },
      { name: 'observe', containerPort: OBSERVE_PORT },
    ],
    // A native sidecar lets the containers of the pod begin once this succeeds.
    startupProbe: waitsForUpstreams
      ? { ...probe('/started'), periodSeconds: 1, failureThreshold: MOST_WAIT_S }
      : { ...probe('/live'), periodSeconds: 1, failureThreshold: 60 },
    livenessProbe: { ...probe('/live'), periodSeconds: 10, timeoutSeconds: 5 },
    readinessProbe: { ...probe('/ready'), periodSeconds: 2 },
    resources: { requests: { cpu: '50m', memory: '128Mi' }, limits: { memory: '512Mi' } },
    securityContext: {
      runAsNonRoot: true,
      runAsUser: USER_ID,
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      seccompProfile: { type: 'RuntimeDefault' },
    },
    volumeMounts: [
      { name: 'outrider-config', mountPath: '/etc/outrider', readOnly: true },
      ...(watchesEndpoints ? [{ name: ACCOUNT, mountPath: ACCOUNT_PATH, readOnly: true }] : []),
    ],
  };
}

/** The volumes that it mounts. */
export function sidecarVolumes({ config, watchesEndpoints = false }: SidecarParts): object[] {
  return [
    { name: 'outrider-config', configMap: { name: config } },
    ...(watchesEndpoints ? [ACCOUNT_VOLUME] : []),
  ];
}

/** The objects that let an account watch the endpoints of its namespace; `get` on services is for messages alone. */
export function endpointsRole(account: string, namespace: string | undefined): object[] {
  const name = `outrider-endpoints-${account}`;
  const metadata = { name, ...(namespace === undefined ? {} : { namespace }) };
  const apiVersion = 'rbac.authorization.k8s.io/v1';
  const subject = {
    kind: 'ServiceAccount',
    name: account,
    ...(namespace === undefined ? {} : { namespace }),
  };
  return [
    {
      apiVersion,
      kind: 'Role',
      metadata,
      rules: [
        { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['get', 'list', 'watch'] },
        { apiGroups: [''], resources: ['services'], verbs: ['get'] },
      ],
    },
    {
      apiVersion,
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
      subjects: [subject],
    },
  ];
}
