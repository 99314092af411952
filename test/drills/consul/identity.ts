/** Rows: certificates change under load. */

import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import tls from 'node:tls';
import type { Row, Trial } from '../faults/row.js';
import { longest, measure, seconds } from '../faults/times.js';
import type { SidecarNode } from './sidecar-node.js';
import { CALLER, type ConsulWorld, SERVICE } from './world.js';

/** From the agent's having a new leaf to its being presented on new connections. */
const IN_USE_MS = 2_000;
/** An agent renews leaves at leisure after its authority's key has changed. */
const RENEWAL_LIMIT_MS = 120_000;
/** From the change of the authority to the agent's saying it. */
const ROOT_LIMIT_MS = 5_000;

interface Leaf {
  readonly SerialNumber: string;
  readonly CertPEM: string;
  readonly PrivateKeyPEM: string;
}

interface Roots {
  readonly ActiveRootID: string;
  readonly Roots: readonly { readonly ID: string; readonly RootCert: string }[];
}

export const leafRotation: Row<ConsulWorld> = {
  name: 'leaf-rotation',
  fault: 'all leaf certificates are replaced again and again',
  async run(world, trial) {
    const rotations = trial.pick(3, 20);
    const everyMs = trial.pick(2_000, 3_000);
    const visit = await visitor(world);
    const slowest: (number | undefined)[] = [];
    const serials = new Set<string>();
    await trial.unharmed(world.load, async () => {
      for (let i = 0; i < rotations; i++) {
        const startMs = performance.now();
        for (const { proxy } of world.nodes) proxy.mintLeaves();
        const presented = world.mesh.replicas.map((node) => untilPresented(node, visit, serials));
        slowest.push(longest(await Promise.all(presented)));
        if (i < rotations - 1) await delay(Math.max(0, everyMs - (performance.now() - startMs)));
      }
    });
    trial.within('each new leaf is presented on new connections', IN_USE_MS, longest(slowest));
    const wanted = rotations * world.mesh.replicas.length;
    trial.expect(`${wanted} different leaves were seen`, serials.size === wanted, String(serials.size));
    for (const node of world.nodes) {
      const rotated = await node.process.metric('outrider_identity_rotations_total');
      trial.expect(`${node.name} counted them`, rotated >= rotations, String(rotated));
    }
    trial.figure('rotations', `${rotations} in ${seconds(rotations * everyMs)}`);
  },
};

export const rootRotation: Row<ConsulWorld> = {
  name: 'root-rotation',
  fault: "the authority's root is replaced",
  async run(world, trial) {
    const before = await roots(world);
    await trial.unharmed(world.load, async () => {
      const { Config } = await world.agent.api<{ Config: object }>('GET', '/connect/ca/configuration');
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const PrivateKey = privateKey.export({ type: 'sec1', format: 'pem' });
      const fromMs = performance.now();
      await world.agent.api('PUT', '/connect/ca/configuration', {
        Provider: 'consul',
        Config: { ...Config, PrivateKey, RootCert: '' },
      });
      // The agent answers from a cache, which a blocking query to its servers follows.
      let after = before;
      const isAnother = async () => {
        after = await roots(world);
        return after.ActiveRootID !== before.ActiveRootID;
      };
      trial.within('there is another root', ROOT_LIMIT_MS, await measure(isAnother, ROOT_LIMIT_MS));
      const root = after.Roots.find(({ ID }) => ID === after.ActiveRootID)!.RootCert;
      // In the full run agents renew by themselves, each when it likes; here one after another is made to.
      for (const { proxy } of trial.pick(world.nodes, [])) {
        await delay(400);
        proxy.mintLeaves();
      }
      await renewed(world, trial, root, fromMs);
    });
  },
};

/** Until every replica presents a leaf of the new root. */
async function renewed(world: ConsulWorld, trial: Trial, root: string, fromMs: number): Promise<void> {
  const visit = await visitor(world);
  const untilTrusted = (node: SidecarNode) =>
    measure(async () => (await visit(node, root)).isTrusted, RENEWAL_LIMIT_MS, fromMs);
  const took = await Promise.all(world.mesh.replicas.map(untilTrusted));
  trial.within('every replica presents a leaf of it', RENEWAL_LIMIT_MS, longest(took));
}

async function roots(world: ConsulWorld): Promise<Roots> {
  return world.agent.api<Roots>('GET', '/agent/connect/ca/roots');
}

/** Time from now until a replica presents the leaf that the agent has for it. */
async function untilPresented(node: SidecarNode, visit: Visit, serials: Set<string>) {
  // Through its proxy, because agents keep a leaf for each token, and the proxy replaces that.
  const answer = await fetch(`${node.proxy.url}/v1/agent/connect/ca/leaf/${SERVICE}`);
  const { SerialNumber } = (await answer.json()) as Leaf;
  const wanted = SerialNumber.replaceAll(':', '').toUpperCase();
  // Consul leaves out leading zeros that OpenSSL writes, or the other way round.
  const isPresented = async () => BigInt(`0x${(await visit(node)).serial}`) === BigInt(`0x${wanted}`);
  const tookMs = await measure(isPresented, 2 * IN_USE_MS);
  if (tookMs !== undefined) serials.add(wanted);
  return tookMs;
}

type Visit = Awaited<ReturnType<typeof visitor>>;

/** Makes new connections to a replica, as the caller. Each is told the serial number of its certificate, and whether its chain ends at `root`. */
async function visitor(world: ConsulWorld) {
  const leaf = await world.agent.api<Leaf>('GET', `/agent/connect/ca/leaf/${CALLER}`);
  const usual = { host: '127.0.0.1', ALPNProtocols: ['h2'], checkServerIdentity: () => undefined };
  const client = { ...usual, cert: leaf.CertPEM, key: leaf.PrivateKeyPEM, rejectUnauthorized: false };
  return async ({ plan }: SidecarNode, root?: string) => {
    const socket = tls.connect({ ...client, port: plan.inboundPort!, ...(root && { ca: root }) });
    await once(socket, 'secureConnect');
    const { serialNumber: serial } = socket.getPeerCertificate();
    const isTrusted = socket.authorized;
    socket.on('error', () => {}).destroy();
    return { serial, isTrusted };
  };
}
