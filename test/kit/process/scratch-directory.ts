/** A folder in which command lines of the documents run as they are written: it sees what a clone has, and is thrown away. */

import { cpSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { OUTRIDER, REPOSITORY, Scratch } from './outrider.js';
import { ShellIn } from './shell.js';

export class ScratchDirectory {
  readonly scratch = new Scratch();
  private readonly commands = new ShellIn(this.scratch.path);

  constructor() {
    cpSync(join(REPOSITORY, 'mesh-config'), join(this.path, 'mesh-config'), { recursive: true });
    symlinkSync(join(REPOSITORY, 'services'), join(this.path, 'services'));
  }

  get path(): string {
    return this.scratch.path;
  }

  /** Runs a shell's command line to its end; rejects unless it succeeds. */
  shell(line: string): Promise<string> {
    return this.commands.run(withOutrider(line));
  }

  /** Starts one that stays; resolves with what it has written once that matches. Fails with its words if it ends before. */
  start(line: string, ready: RegExp, env: Record<string, string> = {}): Promise<string> {
    return this.commands.start(withOutrider(line), ready, env);
  }

  /** Ends what was started, the last first, as Ctrl-C does. */
  async close(): Promise<void> {
    await this.commands.close();
    this.scratch.remove();
  }
}

/** `outrider` and `npx outrider` are this build. */
function withOutrider(line: string): string {
  return line.replaceAll(/(?:npx )?\boutrider (?=[a-z])/g, `${OUTRIDER.join(' ')} `);
}
