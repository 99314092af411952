import { startObserve } from '../../admin/observe.js';
import type { AdminServer } from '../../admin/server.js';
import { writeAddress } from '../../config/codecs/address.js';
import type { Address, SidecarConfig } from '../../config/model.js';
import { ProxyAdoption } from '../../discovery/consul/registration/adoption.js';
import { createLogger, type Logger } from '../../runtime/log/logger.js';
import { type ListenSockets, SOCKET_NAMES } from '../../runtime/process/listen-sockets.js';
import { SYSTEM } from '../../runtime/system.js';
import { systemClock } from '../../runtime/time/clock.js';
import { CommandFailure, oneLine } from '../failure.js';
import { readSidecarFile } from '../read-config.js';
import { notifyServiceManager } from '../service-manager.js';

/** A sidecar file as it is in force, and the registration behind it where it adopts one. */
interface AdoptedFile {
  readonly config: SidecarConfig;
  readonly adoption?: ProxyAdoption;
}

/** What the reading of a file with an adoption needs. */
export interface AdoptionOptions {
  readonly warn: (line: string) => void;
  /** Resolves when the process is to end; the wait ends with it. */
  readonly ended: Promise<unknown>;
  /** Of a successor: another process serves meanwhile. It keeps the admin address, and is not kept waiting. */
  readonly sockets: ListenSockets;
}

/** How long a successor waits for an agent that is away, ms: its predecessor serves on. */
const SUCCESSOR_LIMIT_MS = 30_000;

/** Signals that mean something to a sidecar that has started. */
const EARLY = ['SIGHUP', 'SIGUSR2'] as const;

/**
 * Reads a sidecar file, and first the registration that its `consul.adopt` names. While that is waited for, `/live`, `/ready` and
 * `/metrics` are served at the addresses for them, and say that the sidecar lives and is not ready.
 * @throws CommandFailure with what is wrong with the file or the registration.
 */
export async function readWithAdoption(
  file: string,
  { warn, ended, sockets }: AdoptionOptions,
): Promise<AdoptedFile> {
  const unread: string[] = [];
  const config = readSidecarFile(file, (line) => unread.push(line));
  const { consul } = config;
  if (consul?.adopt === undefined) {
    for (const line of unread) warn(line);
    return { config };
  }
  const adoption = openAdoption(config, consul, consul.adopt);
  const waiting = new WaitingRoom(config, adoption, sockets);
  try {
    const stop = ended.then(() =>
      Promise.reject(new Error('ended before the adopted registration was read')),
    );
    const first = sockets.isSuccessor
      ? adoption.first({ agentLimitMs: SUCCESSOR_LIMIT_MS })
      : adoption.first({ onWaiting: () => waiting.open() });
    const proxy = await Promise.race([first, stop]);
    return { config: readSidecarFile(file, warn, proxy), adoption };
  } catch (error) {
    adoption.close();
    throw error instanceof CommandFailure ? error : new CommandFailure(oneLine(error));
  } finally {
    await waiting.close();
  }
}

/** What a sidecar serves that cannot start yet, because the registration says where: its health, and nothing else. */
class WaitingRoom {
  private readonly opening: Promise<AdminServer | undefined>[] = [];
  /** Their default ends the process; a running sidecar reloads, or hands over. */
  private readonly onEarly = (signal: NodeJS.Signals): void =>
    this.logger.info({ signal }, 'nothing to reload or to hand over yet: the registration is waited for');
  private readonly logger: Logger;

  constructor(
    private readonly config: SidecarConfig,
    private readonly adoption: Pick<ProxyAdoption, 'problem'>,
    private readonly sockets: ListenSockets,
  ) {
    this.logger = createLogger({ level: config.log.level, fields: { instance: config.instance } });
  }

  /** Opens the listeners, and tells the service manager that the process has begun. */
  open(): void {
    const { admin, observe } = this.config;
    for (const signal of EARLY) process.on(signal, this.onEarly);
    if (admin !== undefined) this.opening.push(this.listen(SOCKET_NAMES.admin, admin));
    if (observe !== undefined) this.opening.push(this.listen(SOCKET_NAMES.observe, observe));
    const problem = notifyServiceManager(process.env);
    if (problem !== undefined) this.logger.warn({ problem }, 'the service manager could not be told');
  }

  /** The addresses are free again, and the sockets of a service manager can be listened on by the sidecar. */
  async close(): Promise<void> {
    const servers = await Promise.all(this.opening);
    await Promise.all(servers.map((server) => server?.close()));
    for (const signal of EARLY) process.off(signal, this.onEarly);
  }

  private async listen(name: string, address: Address): Promise<AdminServer | undefined> {
    const notReady = (): string[] => [`registration: ${this.adoption.problem ?? 'it has not been read yet'}`];
    try {
      const sockets = this.borrowed(name);
      return await startObserve(
        address,
        { notReady, notStarted: notReady, metrics: () => [] },
        { clock: systemClock, sockets, name },
      );
    } catch (error) {
      const fields = { address: writeAddress(address), problem: oneLine(error) };
      this.logger.warn(fields, 'while the registration is waited for, this address is not served');
      return undefined;
    }
  }

  /** The socket of a service manager (systemd's `.socket` units) is used and given back. */
  private borrowed(name: string): Pick<ListenSockets, 'listen' | 'close'> {
    const { sockets } = this;
    return {
      listen: (...args) => sockets.listen(...args),
      close: (server) => {
        sockets.giveBack(name, server);
        sockets.close(server);
      },
    };
  }
}

/** The client of the agent, as the file and `CONSUL_*` say it. @throws CommandFailure for settings that cannot be used. */
function openAdoption(
  { log, instance }: SidecarConfig,
  consul: NonNullable<SidecarConfig['consul']>,
  adopt: NonNullable<NonNullable<SidecarConfig['consul']>['adopt']>,
): ProxyAdoption {
  const logger = createLogger({ level: log.level, fields: { instance } });
  try {
    return ProxyAdoption.open(consul, adopt, process.env, { ...SYSTEM, logger });
  } catch (error) {
    throw new CommandFailure(oneLine(error));
  }
}

/**
 * What of a changed registration this process cannot take over: another service, or listeners that it has opened elsewhere.
 * @param running the configuration that it was started with. @param next with what the registration says now.
 */
export function movedProblem(running: SidecarConfig, next: SidecarConfig, id: string): string | undefined {
  const title = `the registration "${id}"`;
  if (next.service !== running.service)
    return `${title} is a proxy of ${next.service} now; restart this sidecar, which is ${running.service}`;
  const moved = [
    ...movedFrom('peers', running.inbound?.listen, next.inbound?.listen),
    ...movedFrom('the service', running.inbound?.local, next.inbound?.local),
    ...(next.outbound?.upstreams ?? []).flatMap(({ name, listen }) => {
      const before = running.outbound?.upstreams.find((each) => each.name === name);
      return before === undefined ? [] : movedFrom(`upstream ${name}`, before.listen, listen);
    }),
  ];
  return moved.length === 0 ? undefined : `${title} has moved (${moved.join('; ')}); restart this sidecar`;
}

/** One part of the sentence, where the two differ. */
function movedFrom(what: string, before: Address | undefined, next: Address | undefined): string[] {
  const [from, to] = [before, next].map((at) => (at === undefined ? 'nowhere' : writeAddress(at)));
  return from === to ? [] : [`${what}: from ${from} to ${to}`];
}
