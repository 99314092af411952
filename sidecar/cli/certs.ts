import { existsSync, writeFileSync } from 'node:fs';
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

/**
 * `outrider certs`: writes certificates for sidecars with `identity` files, signed by a certificate
 * authority made for this call. Its key is not kept and cannot leak: services that shall trust each
 * other are named in one call, and expiring certificates are all made again. For many machines:
 * Consul, cert-manager or SPIRE.
 *
 * @returns 0.
 * @throws CommandFailure, exit code 2 for wrong arguments, 1 when a file exists or cannot be
 * written.
 */
export async function certsCommand(services: readonly string[], options: CertsOptions): Promise<number> {
  const { out, days, trustDomain, datacenter } = options;
  const wrong = services.find((service) => !NAME.test(service));
  if (wrong !== undefined)
    throw new CommandFailure(
      `SERVICE: found ${JSON.stringify(wrong)}; expected lower-case letters, digits, "-", "_" and "."`,
      2,
    );
  if (!Number.isInteger(days) || days < 1 || days > MAX_DAYS)
    throw new CommandFailure(`--days: found ${days}; expected a whole number from 1 to ${MAX_DAYS}`, 2);
  const files = ['roots.crt', ...services.flatMap((service) => [`${service}.crt`, `${service}.key`])];
  const taken = files.find((file) => existsSync(join(out, file)));
  if (taken !== undefined)
    throw new CommandFailure(`${join(out, taken)} is there already; remove it, or choose another --out`);
  const rootLifetimeMs = days * DAY_MS;
  const ca = await LocalCa.create({ trustDomain, datacenter, rootLifetimeMs, wallNow: systemClock.wallNow });
  const issued: { service: string; id: string; cert: string; key: string }[] = [];
  try {
    makeDirectory(out, 0o700);
    for (const service of services) {
      const leaf = await ca.issueLeaf(service, rootLifetimeMs);
      writeFileSync(join(out, `${service}.crt`), leaf.certChainPem, { flag: 'wx' });
      writeFileSync(join(out, `${service}.key`), leaf.keyPem, { flag: 'wx', mode: 0o600 });
      const id = formatSpiffeId({ trustDomain, datacenter, service });
      issued.push({ service, id, cert: join(out, `${service}.crt`), key: join(out, `${service}.key`) });
    }
    writeFileSync(join(out, 'roots.crt'), ca.rootsPem, { flag: 'wx' });
  } catch (error) {
    throw new CommandFailure(`cannot write certificates: ${oneLine(error)}`);
  }
  const text =
    options.json === true
      ? JSON.stringify({ roots: join(out, 'roots.crt'), certificates: issued })
      : issued.map(({ cert, id }) => `${cert}  ${id}`).join('\n');
  process.stdout.write(`${text}\n`);
  return 0;
}
