/** The files of a Kubernetes of one node, as texts. */

import { join } from 'node:path';

/** Where a cluster keeps what it writes. All of it is removed with `run`. */
export interface ClusterPaths {
  readonly run: string;
  readonly pki: string;
  /** Socket of containerd. */
  readonly socket: string;
}

export const NODE = 'node1';
export const NODE_ADDRESS = '10.99.0.1';
export const PODS = '10.88.0.0/16';
export const SERVICES = '10.96.0.0/16';
/** The first address of SERVICES: the API inside the cluster. */
export const API_SERVICE = '10.96.0.1';
export const PAUSE_IMAGE = 'localhost/pause:1';

export function pathsIn(run: string): ClusterPaths {
  return { run, pki: join(run, 'pki'), socket: join(run, 'containerd.sock') };
}

/** Who asks the API, as `pki/NAME.crt` proves it. */
export function kubeconfig({ pki }: ClusterPaths, name: string): string {
  return `apiVersion: v1
kind: Config
clusters: [{ name: c, cluster: { server: "https://${NODE_ADDRESS}:6443", certificate-authority: ${pki}/ca.crt } }]
users: [{ name: u, user: { client-certificate: ${pki}/${name}.crt, client-key: ${pki}/${name}.key } }]
contexts: [{ name: c, context: { cluster: c, user: u } }]
current-context: c
`;
}

/** A machine may lack CAP_SYS_RESOURCE: then no process may have a lower OOM score than its parent (`restrict_oom_score_adj`). */
export function containerdConfig({ run, socket }: ClusterPaths): string {
  return `version = 2
root = "${run}/containerd/root"
state = "${run}/containerd/state"
[grpc]
  address = "${socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${run}/cni"
`;
}

export function networkConfig({ run }: ClusterPaths): string {
  const ipam = {
    type: 'host-local',
    dataDir: join(run, 'addresses'),
    ranges: [[{ subnet: PODS }]],
    routes: [{ dst: '0.0.0.0/0' }],
  };
  const bridge = { type: 'bridge', bridge: 'pods0', isGateway: true, ipMasq: true, hairpinMode: true, ipam };
  const plugins = [bridge, { type: 'portmap', capabilities: { portMappings: true } }];
  return JSON.stringify({ cniVersion: '1.0.0', name: 'pods', plugins });
}

/** The version of cgroups, the settings of the kernel and the disk are those of the machine, which may be old and full. */
export function kubeletConfig({ run, pki, socket }: ClusterPaths): string {
  return `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: { anonymous: { enabled: false }, webhook: { enabled: true }, x509: { clientCAFile: ${pki}/ca.crt } }
authorization: { mode: Webhook }
tlsCertFile: ${pki}/kubelet-server.crt
tlsPrivateKeyFile: ${pki}/kubelet-server.key
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
containerRuntimeEndpoint: unix://${socket}
clusterDomain: cluster.local
clusterDNS: [${NODE_ADDRESS}]
resolvConf: ${run}/resolv.conf
address: ${NODE_ADDRESS}
healthzBindAddress: 127.0.0.1
podLogsDir: ${run}/pod-logs
volumePluginDir: ${run}/volume-plugins
evictionHard: { memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1% }
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
`;
}

/** The limits of connection tracking cannot be written in a network namespace: 0 leaves them. */
export function proxyConfig({ run }: ClusterPaths): string {
  return `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clientConnection: { kubeconfig: ${run}/proxy.conf }
clusterCIDR: ${PODS}
hostnameOverride: ${NODE}
conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s }
`;
}

/** Names outside the cluster do not exist. */
export function dnsConfig({ run }: ClusterPaths): string {
  return `cluster.local:53 in-addr.arpa:53 {
  bind ${NODE_ADDRESS}
  errors
  kubernetes cluster.local in-addr.arpa {
    kubeconfig ${run}/admin.conf
    pods insecure
    ttl 5
  }
  cache 5
}
.:53 {
  bind ${NODE_ADDRESS}
  template ANY ANY . {
    rcode NXDOMAIN
  }
}
`;
}
