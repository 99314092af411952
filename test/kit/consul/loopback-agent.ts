/** An HTTP server on loopback that answers as the test says: a Consul agent with no Consul in it. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, ListenOptions, Socket } from 'node:net';
import { ConsulAgent } from '../../../sidecar/discovery/consul/client/client.js';
import { agentSettings } from '../../../sidecar/discovery/consul/client/settings.js';
import type { Environment } from '../../../sidecar/discovery/settings-files.js';
import { systemTimers } from '../../../sidecar/runtime/time/timers.js';
import { CONFIG } from './scripted-agent.js';

export interface Asked {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

export class LoopbackAgent {
  readonly asked: Asked[] = [];
  readonly sockets = new Set<Socket>();
  handler: Handler = (_request, response) => response.end('[]');
  private readonly clients: ConsulAgent[] = [];

  private constructor(readonly server: Server) {}

  static async start(where: ListenOptions = { host: '127.0.0.1', port: 0 }): Promise<LoopbackAgent> {
    const server = createServer();
    const agent = new LoopbackAgent(server);
    server.on('request', (request, response) => void agent.serve(request, response));
    server.on('connection', (socket: Socket) => {
      agent.sockets.add(socket);
      socket.on('error', () => {}).on('close', () => agent.sockets.delete(socket));
    });
    server.listen(where);
    await once(server, 'listening');
    return agent;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** A client of it, closed with it. `address` default: its own. */
  client(env: Environment = {}, address = `http://127.0.0.1:${this.port}`): ConsulAgent {
    const client = new ConsulAgent(agentSettings({ ...CONFIG, address }, env), systemTimers);
    this.clients.push(client);
    return client;
  }

  async stop(): Promise<void> {
    for (const client of this.clients) client.close();
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { method = '', url = '', headers } = request;
    this.asked.push({ method, url, headers, body: Buffer.concat(chunks).toString() });
    response.on('error', () => {});
    this.handler(request, response);
  }
}
