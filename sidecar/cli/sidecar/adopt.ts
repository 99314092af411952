import { writeAddress } from '../../config/codecs/address.js';
import type { Address, SidecarConfig } from '../../config/model.js';
import { ProxyAdoption } from '../../discovery/consul/registration/adoption.js';
import { createLogger } from '../../runtime/log/logger.js';
import { systemRandom } from '../../runtime/random.js';
import { systemClock } from '../../runtime/time/clock.js';
import { systemTimers } from '../../runtime/time/timers.js';
import { CommandFailure, oneLine } from '../failure.js';
import { readSidecarFile } from '../read-config.js';

/** A sidecar file as it is in force, and the registration behind it where it adopts one. */
interface AdoptedFile {
  readonly config: SidecarConfig;
  readonly adoption?: ProxyAdoption;
}

/**
 * Reads a sidecar file, and first the registration that its `consul.adopt` names, which is waited for up to 30 s.
 * @param ended resolves when the process is to end; the wait ends with it.
 * @throws CommandFailure with what is wrong with the file or the registration.
 */
export async function readWithAdoption(
  file: string,
  warn: (line: string) => void,
  ended: Promise<unknown>,
): Promise<AdoptedFile> {
  const unread: string[] = [];
  const config = readSidecarFile(file, (line) => unread.push(line));
  const { consul } = config;
  if (consul?.adopt === undefined) {
    for (const line of unread) warn(line);
    return { config };
  }
  const adoption = openAdoption(config, consul, consul.adopt);
  try {
    const stop = ended.then(() =>
      Promise.reject(new Error('ended before the adopted registration was read')),
    );
    const proxy = await Promise.race([adoption.first(), stop]);
    return { config: readSidecarFile(file, warn, proxy), adoption };
  } catch (error) {
    adoption.close();
    throw error instanceof CommandFailure ? error : new CommandFailure(oneLine(error));
  }
}

/** The client of the agent, as the file and `CONSUL_*` say it. @throws CommandFailure for settings that cannot be used. */
function openAdoption(
  { log, instance }: SidecarConfig,
  consul: NonNullable<SidecarConfig['consul']>,
  adopt: NonNullable<NonNullable<SidecarConfig['consul']>['adopt']>,
): ProxyAdoption {
  const logger = createLogger({ level: log.level, fields: { instance } });
  const time = { clock: systemClock, timers: systemTimers, random: systemRandom };
  try {
    return ProxyAdoption.open(consul, adopt, process.env, { ...time, logger });
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
