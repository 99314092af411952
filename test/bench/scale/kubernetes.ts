/** Fleets on a real Kubernetes API. EndpointSlices are written as its controller writes them; there are no pods. */

import { ApiServer } from '../../kit/deploy/cluster/api-server.js';
import { installed } from '../../kit/process/tools.js';
import { Fleet, measurePoint, type Point } from './measure.js';
import { GUEST_HOST, nowMs } from './protocol.js';

const SERVICE = 'digits';
const PATH = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';
/** What the controller puts into one slice. */
const PER_SLICE = 100;
const PORT = 8_443;

type State = 'unready' | 'ready' | 'terminating';

/** Measures these numbers of sidecars, from the least on, with one API server. Undefined, said loudly: its programs are not there. */
export async function measureKubernetes(
  sizes: readonly number[],
  how: { readonly replicas: number; readonly rounds: number; readonly quick: boolean },
  say: (line: string) => void,
): Promise<{ readonly version: string; readonly points: readonly Point[] } | undefined> {
  const programs = installed('kubernetes-cluster');
  if (programs === undefined) {
    say('SKIPPING KUBERNETES: no API server in .cache; `npm run try:kubernetes` builds it');
    return undefined;
  }
  const api = await ApiServer.start(programs);
  const fleet = new Fleet(() => callerOn(api));
  try {
    await api.ask('POST', '/api/v1/namespaces/default/services', {
      metadata: { name: SERVICE },
      spec: { ports: [{ name: 'grpc', port: PORT }] },
    });
    const staying = how.replicas - 1;
    for (let first = 0; first < staying; first += PER_SLICE) {
      const count = Math.min(PER_SLICE, staying - first);
      const endpoints = Array.from({ length: count }, (_, i) => endpointOf(hostOf(first + i), 'ready'));
      await api.ask('POST', PATH, sliceOf(`${SERVICE}-${first}`, endpoints));
    }
    const guests = guestSlice(api, staying);
    const registry = {
      pids: () => api.pids(),
      // What the controller writes for a pod that starts, and for one that ends.
      come: async () => {
        await guests('unready');
        const fromMs = nowMs();
        await guests('ready');
        return fromMs;
      },
      go: async () => {
        const fromMs = nowMs();
        await guests('terminating');
        await guests();
        return fromMs;
      },
    };
    const points: Point[] = [];
    for (const sidecars of sizes) {
      say(`Kubernetes: ${sidecars} sidecars, ${how.replicas} replicas`);
      points.push(await measurePoint(fleet, registry, { ...how, sidecars }));
      say(JSON.stringify(points.at(-1)));
    }
    return { version: await api.version(), points };
  } finally {
    fleet.stop();
    await api.stop();
  }
}

function callerOn({ url, caFile, tokenFile }: ApiServer): string {
  const place = `server: "${url}", ca_file: "${caFile}", token_file: "${tokenFile}"`;
  return `service: caller
outbound: { upstreams: { digits: { listen: "127.0.0.1:7001", tls: plaintext, kubernetes: { service: ${SERVICE}.default, ${place} } } } }
`;
}

/** Writes the slice in which there is room for one more. */
function guestSlice(api: ApiServer, staying: number): (guest?: State) => Promise<void> {
  const first = Math.max(0, Math.floor((staying - 1) / PER_SLICE) * PER_SLICE);
  const others = Array.from({ length: staying - first }, (_, i) => endpointOf(hostOf(first + i), 'ready'));
  const name = `${SERVICE}-${first}`;
  return async (guest) => {
    const endpoints = guest === undefined ? others : [...others, endpointOf(GUEST_HOST, guest)];
    await api.ask('PUT', `${PATH}/${name}`, sliceOf(name, endpoints));
  };
}

function hostOf(n: number): string {
  return `10.1.${n >> 8}.${n & 255}`;
}

function sliceOf(name: string, endpoints: readonly object[]): object {
  const labels = { 'kubernetes.io/service-name': SERVICE };
  const managed = { 'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io' };
  return {
    metadata: { name, labels: { ...labels, ...managed } },
    ...{ addressType: 'IPv4', ports: [{ name: 'grpc', port: PORT, protocol: 'TCP' }], endpoints },
  };
}

function endpointOf(address: string, state: State): object {
  const id = address.replaceAll('.', '-');
  const isEnding = state === 'terminating';
  return {
    addresses: [address],
    conditions: { ready: state === 'ready', serving: state !== 'unready', terminating: isEnding },
    nodeName: `node-${id}.fleet.example.internal`,
    zone: 'zone-1',
    targetRef: {
      ...{ kind: 'Pod', namespace: 'default', name: `${SERVICE}-6d5c8f9b7-${id}` },
      uid: `13618488-6e0d-432d-c876-${id.replaceAll('-', '').padStart(12, '0')}`,
    },
  };
}
