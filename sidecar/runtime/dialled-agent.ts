import { Agent, type AgentOptions } from 'node:http';
import type { Socket } from 'node:net';

/** Connections of node:http that something else than Node opens. */
export class DialledAgent extends Agent {
  constructor(
    options: AgentOptions,
    private readonly dial: () => Socket,
  ) {
    super(options);
  }

  override createConnection(): Socket {
    return this.dial();
  }
}
