import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { NAME } from '../config/options/values.js';
import { LocalCa } from '../identity/ca/local-ca.js';
import { formatSpiffeId } from '../identity/spiffe.js';
import { makeDirectory } from '../runtime/process/directory.js';
import { systemClock } from '../runtime/time/clock.js';
import { CommandFailure, oneLine } from './failure.js';

export interface CertsOptions {
  /** Folder for `NAME.crt` and `NAME.key` of each service, and `roots.crt`. */
  readonly out: string;
  readonly trustDomain: string;
  readonly datacenter: string;
  /** Validity of the certificates, 1 to 3650. */
  readonly days: number;
  /** One JSON object with the files and ids, instead of a line for each certificate. */
  readonly json?: boolean;
}

const DAY_MS = 86_400_000;
const MAX_DAYS = 3650;
/** Name of the authority's own file. */
const ROOTS = 'roots';

/**
 * `outrider certs`: writes certificates for sidecars with `identity` files, signed by a certificate
 * authority made for this call. Its key is not kept and cannot leak: services that shall trust each
 * other are named in one call, and expiring certificates are all made again. For many machines:
 * Consul, cert-manager or SPIRE.
 *
 * @returns 0.
 * @throws CommandFailure, exit code 2 for wrong arguments, 1 when a file exists or cannot be
 * written. Nothing has been written then.
 */
export async function certsCommand(services: readonly string[], options: CertsOptions): Promise<number> {
  const { out, days, trustDomain, datacenter } = options;
  const wrong = services.find((service) => !NAME.test(service));
  if (wrong !== undefined)
    throw new CommandFailure(
      `SERVICE: found ${JSON.stringify(wrong)}; expected lower-case letters, digits, "-", "_" and "."`,
      2,
    );
  if (services.includes(ROOTS))
    throw new CommandFailure(
      `SERVICE: found "${ROOTS}"; expected another name, as roots.crt has the authority`,
      2,
    );
  const twice = services.find((service, i) => services.indexOf(service) !== i);
  if (twice !== undefined)
    throw new CommandFailure(`SERVICE: found "${twice}" twice; expected each service once`, 2);
  if (!Number.isInteger(days) || days < 1 || days > MAX_DAYS)
    throw new CommandFailure(`--days: found ${days}; expected a whole number from 1 to ${MAX_DAYS}`, 2);
  const files = [`${ROOTS}.crt`, ...services.flatMap((service) => [`${service}.crt`, `${service}.key`])];
  const taken = files.find((file) => existsSync(join(out, file)));
  if (taken !== undefined) throw new CommandFailure(isTaken(join(out, taken)));
  const rootLifetimeMs = days * DAY_MS;
  const ca = await LocalCa.create({ trustDomain, datacenter, rootLifetimeMs, wallNow: systemClock.wallNow });
  const written: string[] = [];
  const write = (name: string, text: string, mode = 0o666): string => {
    const path = join(out, name);
    writeFileSync(path, text, { flag: 'wx', mode });
    written.push(path);
    return path;
  };
  const issued: { service: string; id: string; cert: string; key: string }[] = [];
  try {
    makeDirectory(out, 0o700);
    for (const service of services) {
      const leaf = await ca.issueLeaf(service, rootLifetimeMs);
      const cert = write(`${service}.crt`, leaf.certChainPem);
      const key = write(`${service}.key`, leaf.keyPem, 0o600);
      issued.push({ service, id: formatSpiffeId({ trustDomain, datacenter, service }), cert, key });
    }
    write(`${ROOTS}.crt`, ca.rootsPem);
  } catch (error) {
    // Without all of it, what was written is of no use, and would be in the way of the next time.
    for (const path of written) rmSync(path, { force: true });
    const { code, path } = error as NodeJS.ErrnoException;
    throw new CommandFailure(
      code === 'EEXIST' && path !== undefined
        ? isTaken(path)
        : `cannot write certificates: ${oneLine(error)}`,
    );
  }
  const text =
    options.json === true
      ? JSON.stringify({ roots: join(out, 'roots.crt'), certificates: issued })
      : issued.map(({ cert, id }) => `${cert}  ${id}`).join('\n');
  process.stdout.write(`${text}\n`);
  return 0;
}

function isTaken(path: string): string {
  return `${path} is there already, and nothing has been written; to make new certificates, name all services that shall trust each other and another --out, or remove the files that are there`;
}
