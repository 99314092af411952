/** Two replicas behind sidecars and a caller's sidecar before them, all with traces: what the tests of collectors share. */
import type { Client } from '@grpc/grpc-js';
import { fails, WELL } from '../../../sidecar/cli/chaos/protocol/behaviour.js';
import { askUnary, clientOf } from '../../../sidecar/cli/chaos/protocol/call.js';
import type { SidecarProcess } from '../../kit/process/sidecars.js';
import { ONCE } from '../faults/model-protocol.js';
import { DecisionMesh } from './mesh.js';

const ROUTE = {
  methods: ['*'],
  kind: 'unary',
  idempotent: true,
  retry: { attempts: 2, on: ['unavailable'] },
  timeout: '5s',
};

/** The first replica fails every call, until told otherwise; the second answers. */
export class TracedMesh {
  private readonly client: Client = clientOf(this.mesh.target);

  private constructor(private readonly mesh: DecisionMesh) {}

  /** @param traces the block, of all three sidecars. @param others more blocks of these. */
  static async start(traces: object, others: object = {}): Promise<TracedMesh> {
    const mesh = await DecisionMesh.open({
      ...{ replicas: 2, serviceMs: 1, sidecars: { traces, ...others }, inbound: { reflection: false } },
      upstream: { balance: { kind: 'round-robin' }, ejection: { mode: 'observe' }, routes: [ROUTE] },
    });
    await mesh.models[0]!.behave(fails('trailers'));
    return new TracedMesh(mesh);
  }

  get caller(): SidecarProcess {
    return this.mesh.caller;
  }

  /** One call; rejects with its status where that is not OK. */
  async call(metadata: Readonly<Record<string, string>> = {}): Promise<void> {
    await askUnary(this.client, ONCE, { request: Buffer.from('x'), deadlineMs: 5_000, metadata });
  }

  /** From now on both replicas answer. */
  heal(): Promise<void> {
    return this.mesh.behave(WELL);
  }

  async close(): Promise<void> {
    this.client.close();
    await this.mesh.close();
  }
}
