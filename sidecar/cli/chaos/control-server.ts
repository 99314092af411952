/**
 * The end of the control channel in the command: knows which process each replica is now, tells it how to behave, and sees it
 * end. Whatever starts the processes (a sidecar, or the command itself) need not be asked.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { attempt } from '../../runtime/attempt.js';
import { type Behaviour, CONTROL_SOCKET, type Done, type Hello, WELL } from './protocol/behaviour.js';
import { onLines, sendLine } from './protocol/lines.js';

const BEHAVE_LIMIT_MS = 5_000;

/** Something that happened to the process of a replica. */
export interface ProcessEvent {
  readonly kind: 'ready' | 'gone';
  /** From 1. */
  readonly replica: number;
  readonly pid: number;
}

/** The process of a replica. */
interface Member {
  readonly hello: Hello;
  readonly socket: Socket;
  isReady: boolean;
}

/** The control channel of one run. */
export class ControlServer {
  /** Called with each begin and end of a process; replaced by whatever runs a drill. */
  onEvent: (event: ProcessEvent) => void = () => {};
  private readonly members = new Map<number, Member>();
  /** What each replica was told last, for processes that start later. */
  private readonly behaviours = new Map<number, Behaviour>();
  private readonly pending = new Map<number, () => void>();
  private lastId = 0;

  private constructor(private readonly server: Server) {
    server.on('connection', (socket) => this.take(socket));
  }

  /** @param dir private folder of the run. */
  static async open(dir: string): Promise<ControlServer> {
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(join(dir, CONTROL_SOCKET), resolve);
    });
    return new ControlServer(server);
  }

  /** Replicas whose process serves. */
  get ready(): readonly number[] {
    return [...this.members.values()].filter(({ isReady }) => isReady).map(({ hello }) => hello.replica);
  }

  /** Process id of a replica; undefined while it has none. */
  pidOf(replica: number): number | undefined {
    return this.members.get(replica)?.hello.pid;
  }

  /**
   * The replica behaves so from now on, its later processes included. Resolves when the process says so; also after 5 s, or
   * when it ends, because a frozen or dying process does not answer.
   */
  behave(replica: number, behaviour: Behaviour): Promise<void> {
    this.behaviours.set(replica, behaviour);
    const member = this.members.get(replica);
    return member === undefined ? Promise.resolve() : this.tell(member, behaviour);
  }

  /** Sends a signal to the process of a replica, where it has one. @returns its process id. */
  signal(replica: number, name: NodeJS.Signals): number | undefined {
    const pid = this.pidOf(replica);
    if (pid !== undefined) attempt(() => process.kill(pid, name), false);
    return pid;
  }

  /** Ends the channel, and kills what is left of the model processes, frozen ones too. */
  close(): void {
    for (const replica of this.members.keys()) this.signal(replica, 'SIGKILL');
    for (const { socket } of this.members.values()) socket.destroy();
    this.server.close();
  }

  /** Sends a behaviour, and waits for the answer within the limit. */
  private tell(member: Member, behaviour: Behaviour): Promise<void> {
    this.lastId += 1;
    const id = this.lastId;
    return new Promise((resolve) => {
      const settle = (): void => {
        clearTimeout(limit);
        this.pending.delete(id);
        member.socket.off('close', settle);
        resolve();
      };
      const limit = setTimeout(settle, BEHAVE_LIMIT_MS);
      this.pending.set(id, settle);
      member.socket.once('close', settle);
      sendLine(member.socket, { id, behaviour });
    });
  }

  /** A process has connected: its first line says which replica it is. */
  private take(socket: Socket): void {
    socket.on('error', () => {});
    let member: Member | undefined;
    onLines(socket, (value) => {
      if (member !== undefined) return this.pending.get((value as Done).done)?.();
      const hello = value as Hello;
      const { replica, pid } = hello;
      const joined: Member = { hello, socket, isReady: false };
      member = joined;
      this.members.set(replica, joined);
      socket.once('close', () => {
        // Its successor may have connected before the kernel closed the old connection.
        if (this.members.get(replica) === joined) this.members.delete(replica);
        this.onEvent({ kind: 'gone', replica, pid });
      });
      void this.tell(joined, this.behaviours.get(replica) ?? WELL).then(() => {
        if (socket.destroyed) return;
        joined.isReady = true;
        this.onEvent({ kind: 'ready', replica, pid });
      });
    });
  }
}
