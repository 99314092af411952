/** Two replicas behind sidecars and a caller's sidecar before them, all with traces: what the tests of collectors share. */
import type { Client } from '@grpc/grpc-js';
import { fails, WELL } from '../../../sidecar/cli/chaos/protocol/behaviour.js';
import { writeAddress } from '../../../sidecar/config/codecs/address.js';
import { SidecarBench, type SidecarProcess } from '../../kit/process/sidecars.js';
import { callUnary, clientOf } from './call.js';
import { Model } from './model.js';
import { ONCE } from './model-protocol.js';

/** The first replica fails every call, until told otherwise; the second answers. */
export class TracedMesh {
  private constructor(
    private readonly bench: SidecarBench,
    private readonly models: readonly Model[],
    readonly caller: SidecarProcess,
    readonly replicas: readonly SidecarProcess[],
    private readonly client: Client,
  ) {}

  /** @param traces the block, of all three sidecars. */
  static async start(traces: object): Promise<TracedMesh> {
    const bench = await SidecarBench.open();
    const models = await Promise.all([0, 1].map(() => Model.start({ serviceMs: 1 })));
    await models[0]!.behave(fails('trailers'));
    const identity = await bench.identity('digits');
    const replicas: SidecarProcess[] = [];
    for (const [i, model] of models.entries()) {
      const intentions = [{ from: 'app', to: 'digits', action: 'allow' }];
      const inbound = { listen: '127.0.0.1:0', local: model.address, intentions, reflection: false };
      replicas.push(
        await bench.start(`digits-${i}`, {
          service: 'digits',
          instance: `digits-${i}`,
          identity,
          traces,
          inbound,
        }),
      );
    }
    const digits = {
      listen: '127.0.0.1:0',
      balance: { kind: 'round-robin' },
      ejection: { mode: 'observe' },
      endpoints: replicas.map((each) => writeAddress(each.address('inbound'))),
      routes: [
        {
          methods: ['*'],
          kind: 'unary',
          idempotent: true,
          retry: { attempts: 2, on: ['unavailable'] },
          timeout: '5s',
        },
      ],
    };
    const app = { service: 'app', identity: await bench.identity('app'), traces };
    const caller = await bench.start('app', { ...app, outbound: { upstreams: { digits } } });
    await Promise.all([caller, ...replicas].map((each) => each.ready()));
    const client = clientOf(writeAddress(caller.address('upstream digits')));
    return new TracedMesh(bench, models, caller, replicas, client);
  }

  /** One call; rejects with its status where that is not OK. */
  call(metadata: Readonly<Record<string, string>> = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      const said = { request: Buffer.from('x'), deadlineMs: 5_000, metadata };
      callUnary(this.client, ONCE, said, (error) => (error === null ? resolve() : reject(error)));
    });
  }

  /** From now on both replicas answer. */
  async heal(): Promise<void> {
    await this.models[0]!.behave(WELL);
  }

  async close(): Promise<void> {
    this.client.close();
    await this.bench.close();
    for (const model of this.models) await model.kill();
  }
}
