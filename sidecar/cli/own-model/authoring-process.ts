import { type ChildProcess, fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { AuthoringAnswer, AuthoringRequest } from '../../../proto/authoring.js';
import { CommandFailure } from '../failure.js';
import { requireModelRuntime } from '../model-runtime.js';

/** Entry of the process. */
const PROGRAM = fileURLToPath(new URL('../../../services/model-server/authoring/main.js', import.meta.url));

/**
 * The process that looks into a model: a program of the model server, apart from this one, so that a
 * file that crashes the runtime is reported like any other that is wrong.
 */
export class AuthoringProcess {
  private constructor(private readonly child: ChildProcess) {}

  /** @throws CommandFailure when the model server or the runtime is not installed. */
  static start(): AuthoringProcess {
    if (!existsSync(PROGRAM))
      throw new CommandFailure('the model service is not installed beside this program');
    requireModelRuntime();
    const child = fork(PROGRAM, [], {
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    child.on('error', () => {}); // one that has started ends, and that is said
    if (child.pid === undefined)
      throw new CommandFailure('the process that runs the model could not be started');
    return new AuthoringProcess(child);
  }

  /**
   * Asks and waits for the answer. One request at a time.
   *
   * @param file what the request is about, for the message of a process that ends without an answer.
   * @throws CommandFailure with the reason.
   */
  async ask<Kind extends AuthoringRequest['ask']>(
    request: Extract<AuthoringRequest, { ask: Kind }>,
    file: string,
  ): Promise<Extract<AuthoringAnswer, { answer: Kind }>> {
    const answer = await new Promise<AuthoringAnswer>((resolve, reject) => {
      const ended = (code: number | null, signal: NodeJS.Signals | null) =>
        reject(
          new CommandFailure(
            `${file}: the process that ran the model ended (${signal ?? `exit code ${code}`}): the runtime cannot take this file`,
          ),
        );
      this.child.once('exit', ended);
      this.child.once('message', (message) => {
        this.child.off('exit', ended);
        resolve(message as AuthoringAnswer);
      });
      this.child.send(request);
    });
    if (answer.answer === 'failed') throw new CommandFailure(answer.why);
    return answer as Extract<AuthoringAnswer, { answer: Kind }>;
  }

  /** Ends the process. */
  close(): void {
    if (this.child.connected) this.child.disconnect();
  }
}
