import { readFileSync } from 'node:fs';
import { CommandFailure, oneLine } from '../failure.js';
import { packageVersion } from '../package-info.js';
import { injectYaml } from './inject-yaml.js';
import type { PodIdentity } from './sidecar-container.js';

/** Flags of `outrider inject`, as commander parses them. */
export interface InjectFlags {
  readonly as: 'native' | 'container';
  readonly image?: string;
  readonly config?: string;
  readonly consulAgent?: 'node';
  readonly identitySecret?: string;
  readonly identityCsi?: string;
  readonly issuer?: string;
  readonly gracePeriod?: string;
  readonly endpointslices?: boolean;
  readonly endpointsIn?: readonly string[];
}

/** Descriptor of standard input. */
const STDIN = 0;
/** The issuer of mesh-config/deploy/kubernetes. */
const ISSUER = 'outrider';

/**
 * `outrider inject FILE`: writes the file with the sidecar added to standard output, and what was
 * done to standard error, so that `| kubectl apply -f -` may follow.
 *
 * @returns 0.
 * @throws CommandFailure with every problem, one line each; nothing is written then.
 */
export function injectCommand(file: string, flags: InjectFlags): number {
  const { as, image, config, endpointslices, endpointsIn, consulAgent } = flags;
  if (endpointsIn !== undefined && endpointslices !== true)
    throw new CommandFailure('--endpoints-in: found without --endpointslices; expected both', 2);
  const options = {
    as,
    image: image ?? `localhost/outrider:${packageVersion()}`,
    config,
    consulAgent,
    identity: identityOf(flags),
    graceS: graceOf(flags),
    watchesEndpoints: endpointslices === true,
    endpointsIn,
  };
  const { text, notes, problems } = injectYaml(readText(file), options);
  if (problems.length > 0)
    throw new CommandFailure(problems.map((problem) => `${file}: ${problem}`).join('\n'));
  for (const note of notes) process.stderr.write(`${note}\n`);
  process.stdout.write(text);
  return 0;
}

/** @throws CommandFailure(2) */
function identityOf({ identitySecret, identityCsi, issuer }: InjectFlags): PodIdentity | undefined {
  if (identitySecret !== undefined && identityCsi !== undefined)
    throw new CommandFailure('--identity-csi: found beside --identity-secret; expected only one of them', 2);
  if (issuer !== undefined && identityCsi === undefined)
    throw new CommandFailure('--issuer: found without --identity-csi; expected both', 2);
  if (identitySecret !== undefined) return { kind: 'secret', name: identitySecret };
  if (identityCsi === undefined) return undefined;
  if (!/^spiffe:\/\/[^/\s]+\/\S+$/.test(identityCsi))
    throw new CommandFailure(
      `--identity-csi: found ${JSON.stringify(identityCsi)}; expected a SPIFFE id such as spiffe://outrider.local/ns/default/dc/dc1/svc/{name}`,
      2,
    );
  const [name = '', kind = 'Issuer'] = (issuer ?? ISSUER).split('/').reverse();
  if (name === '' || !['Issuer', 'ClusterIssuer'].includes(kind))
    throw new CommandFailure(
      `--issuer: found ${JSON.stringify(issuer)}; expected the name of an Issuer, or ClusterIssuer/NAME`,
      2,
    );
  return { kind: 'csi', id: identityCsi, issuer: { kind, name } };
}

/** @throws CommandFailure(2) */
function graceOf({ gracePeriod }: InjectFlags): number | undefined {
  if (gracePeriod === undefined || /^[1-9]\d{0,4}$/.test(gracePeriod))
    return gracePeriod === undefined ? undefined : Number(gracePeriod);
  throw new CommandFailure(
    `--grace-period: found ${JSON.stringify(gracePeriod)}; expected whole seconds, such as 40`,
    2,
  );
}

function readText(file: string): string {
  try {
    return readFileSync(file === '-' ? STDIN : file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why =
      code === 'ENOENT'
        ? 'no such file'
        : code === 'EISDIR'
          ? 'is a directory; expected a file'
          : oneLine(error);
    throw new CommandFailure(`${file}: ${why}`);
  }
}
