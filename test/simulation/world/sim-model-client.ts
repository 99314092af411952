/** What a sidecar asks its model past the queue (health, reflection), over the simulated network. */
import type { Address } from '../../../sidecar/config/model.js';
import type { ModelClient, UnaryAnswer, UnaryOptions } from '../../../sidecar/health/model/grpc-client.js';
import type { Field } from '../../kit/http2/hpack-lite.js';
import type { Dice } from '../dice.js';
import { prefixOf } from './content.js';
import type { SimSocket } from './sim-net.js';
import { PLAIN, SimPeer } from './sim-peer.js';
import type { SimProcess } from './sim-process.js';

export class SimModelClient implements ModelClient {
  private peer: SimPeer | undefined;

  constructor(
    private readonly address: Address,
    private readonly process: SimProcess,
    private readonly dice: Dice,
  ) {}

  call(path: string, request: Uint8Array, { timeoutMs }: UnaryOptions): Promise<UnaryAnswer> {
    return new Promise((resolve) => {
      const finish = (answer: UnaryAnswer): void => {
        timer.cancel();
        if (answer.kind === 'silent') this.close();
        resolve(answer);
      };
      const timer = this.process.after(timeoutMs, () => finish({ kind: 'silent', why: 'no answer in time' }));
      const parts: Buffer[] = [];
      const stream = this.connected().request(FIELDS(path), {
        onHeaders: (fields, ended) => {
          const status = fields.find(([name]) => name === 'grpc-status')?.[1];
          if (!ended) return;
          if (status === '0') finish({ kind: 'message', message: Buffer.concat(parts).subarray(5) });
          else finish({ kind: 'status', status: Number(status ?? 2), message: '' });
        },
        onData: (bytes) => {
          parts.push(bytes);
          stream?.credit(bytes.length);
        },
        onReset: () => finish({ kind: 'silent', why: 'the connection ended without an answer' }),
      });
      if (stream === undefined) finish({ kind: 'silent', why: 'no room' });
      else stream.data(Buffer.concat([prefixOf(request.length), request]), true);
    });
  }

  close(): void {
    this.peer?.socket.destroy();
    this.peer = undefined;
  }

  private connected(): SimPeer {
    if (this.peer !== undefined && !this.peer.isClosed && !this.peer.isLeaving) return this.peer;
    const socket = this.process.network.dial(this.address) as unknown as SimSocket;
    this.peer = new SimPeer(socket, 'client', PLAIN, this.dice);
    return this.peer;
  }
}

const FIELDS = (path: string): readonly Field[] => [
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', path],
  [':authority', 'model'],
  ['content-type', 'application/grpc'],
  ['te', 'trailers'],
];
