/** How a sidecar stands in a pod. */
export interface SidecarParts {
  /** `native`: an init container with `restartPolicy: Always` (Kubernetes 1.29 and later), which starts before and ends after the others. */
  readonly as: 'native' | 'container';
  readonly image: string;
  /** The containers of the pod begin once each upstream has been reached: for a job, which would fail otherwise. Default: false. */
  readonly waitsForUpstreams?: boolean;
  /** It watches endpoints by the Kubernetes API, and gets the token of the pod's account. Default: false. */
  readonly watchesEndpoints?: boolean;
  /** Where the Consul agent is: `node`, on the pod's node at port 8500, as a DaemonSet has it. Absent: the file says it, or does not use Consul. */
  readonly consulAgent?: 'node' | undefined;
  /** Where its certificate comes from. Absent: from Consul, or the pod has a volume for it. */
  readonly identity?: PodIdentity | undefined;
  /** ConfigMap with the key `sidecar.yaml`. */
  readonly config: string;
}

/** A certificate as files: `tls.crt`, `tls.key` and `ca.crt`. */
export type PodIdentity =
  | { readonly kind: 'secret'; readonly name: string }
  /** cert-manager's CSI driver asks `issuer` for a certificate of this SPIFFE id, and renews it. */
  | {
      readonly kind: 'csi';
      readonly id: string;
      readonly issuer: { readonly kind: string; readonly name: string };
    };

/** The port of `observe` in the sidecar's file, which probes and Prometheus ask. */
const OBSERVE_PORT = 9464;
/** The port of `inbound.listen`. */
const PEERS_PORT = 9443;
/** For so long a job waits for its upstreams until its sidecar begins anew, s. */
const MOST_WAIT_S = 600;
/** The token of the pod's account, for the sidecar alone. */
const ACCOUNT = 'outrider-account';
const ACCOUNT_PATH = '/var/run/secrets/kubernetes.io/serviceaccount';
/** The certificate. The example files of sidecars name this place. */
export const IDENTITY = 'outrider-identity';
export const IDENTITY_PATH = '/var/run/secrets/outrider';
/** Its group may read them: they are files of root. */
const GROUP_READS = 0o440;
/** The user of the image, and its group. */
export const USER_ID = 10_001;
export const ROOT_GROUP = 0;

/**
 * The group that may read the files of an identity. Those of a Secret belong to the group of root, unless the pod has an `fsGroup`: that would
 * give all its volumes another group, and let it read each Secret of the pod. cert-manager's driver gives its files any group but that of root.
 */
export function groupFor({ kind }: PodIdentity): number {
  return kind === 'csi' ? USER_ID : ROOT_GROUP;
}

/** The container, as the files in mesh-config/deploy/kubernetes have it, without its extras. Their pods have an `fsGroup`. */
export function sidecarContainer({ as, image, identity, waitsForUpstreams = false }: SidecarParts): object {
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
      // Without an identity, who writes the certificate chooses the group: that of the image, or the `runAsGroup` of the pod.
      ...(identity === undefined ? {} : { runAsGroup: groupFor(identity) }),
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      seccompProfile: { type: 'RuntimeDefault' },
    },
    volumeMounts: [{ name: 'outrider-config', mountPath: '/etc/outrider', readOnly: true }],
  };
}

/** The volume that each sidecar mounts. */
export const configVolume = (config: string): object => ({
  name: 'outrider-config',
  configMap: { name: config },
});

/** Items of lists of the container and its pod. Each has a name, which is there once. */
export interface Extra {
  /** Variables in this order: a later one may use those before it. */
  readonly env?: readonly Named[];
  readonly volume?: Named;
  readonly mountPath?: string;
}

interface Named {
  readonly name: string;
}

/** What only some sidecars have; a sidecar that is there already gets what it lacks. */
export function sidecarExtras({ watchesEndpoints = false, consulAgent, identity }: SidecarParts): Extra[] {
  return [
    ...(watchesEndpoints ? [{ volume: ACCOUNT_VOLUME, mountPath: ACCOUNT_PATH }] : []),
    ...(identity === undefined ? [] : [{ volume: identityVolume(identity), mountPath: IDENTITY_PATH }]),
    ...(consulAgent === undefined ? [] : [{ env: CONSUL_OF_NODE }]),
  ];
}

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

/** Without an address, the sidecar would ask for an agent in its own pod. */
const CONSUL_OF_NODE = [
  { name: 'NODE_IP', valueFrom: { fieldRef: { fieldPath: 'status.hostIP' } } },
  { name: 'CONSUL_HTTP_ADDR', value: 'http://$(NODE_IP):8500' },
];

const CSI_DRIVER = 'csi.cert-manager.io';

function identityVolume(identity: PodIdentity): Named {
  if (identity.kind === 'secret') {
    const secret = { secretName: identity.name, defaultMode: GROUP_READS };
    return { name: IDENTITY, secret } as Named;
  }
  const { id, issuer } = identity;
  const csi = {
    driver: CSI_DRIVER,
    readOnly: true,
    volumeAttributes: {
      [`${CSI_DRIVER}/issuer-name`]: issuer.name,
      ...(issuer.kind === 'Issuer' ? {} : { [`${CSI_DRIVER}/issuer-kind`]: issuer.kind }),
      [`${CSI_DRIVER}/uri-sans`]: id,
      [`${CSI_DRIVER}/key-usages`]: 'digital signature,server auth,client auth',
      [`${CSI_DRIVER}/duration`]: '24h',
      [`${CSI_DRIVER}/fs-group`]: String(USER_ID),
    },
  };
  return { name: IDENTITY, csi } as Named;
}

/** Whose certificate a volume has, as far as this program makes such volumes. */
export function identityIn(volume: unknown): string | undefined {
  const { secret, csi } = volume as {
    secret?: { secretName?: string };
    csi?: { volumeAttributes?: Record<string, string> };
  };
  return secret?.secretName ?? csi?.volumeAttributes?.[`${CSI_DRIVER}/uri-sans`];
}
