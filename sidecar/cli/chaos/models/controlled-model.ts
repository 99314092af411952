/** The end of the control channel in a model process. The process ends when the channel does, so that none outlives its run. */

import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { type Behaviour, CONTROL_SOCKET, type Hello, type Told } from '../protocol/behaviour.js';
import { onLines, sendLine } from '../protocol/lines.js';

export class ControlledModel {
  /** Called with each change after the first. */
  onChange: (behaviour: Behaviour) => void = () => {};
  private isReady = false;
  /** Ids of what it was told before it served. */
  private readonly waiting: number[] = [];

  private constructor(
    private readonly socket: Socket,
    public behaviour: Behaviour,
  ) {}

  /** Resolves when the command has said how the model shall behave. Rejects where there is no command. */
  static connect(dir: string, hello: Hello): Promise<ControlledModel> {
    const socket = connect(join(dir, CONTROL_SOCKET));
    return new Promise((resolve, reject) => {
      let model: ControlledModel | undefined;
      socket.once('error', reject);
      // The command has ended, or was killed: without it this process belongs to no run.
      socket.once('close', () => process.exit(1));
      onLines(socket, (value) => {
        const told = value as Told;
        if (model !== undefined) return model.take(told);
        model = new ControlledModel(socket, told.behaviour);
        model.waiting.push(told.id);
        resolve(model);
      });
      sendLine(socket, hello);
    });
  }

  /** The model serves: what it was told before holds from now on. */
  ready(): void {
    this.isReady = true;
    for (const done of this.waiting.splice(0)) sendLine(this.socket, { done });
  }

  private take({ id, behaviour }: Told): void {
    this.behaviour = behaviour;
    this.onChange(behaviour);
    if (this.isReady) sendLine(this.socket, { done: id });
    else this.waiting.push(id);
  }
}
