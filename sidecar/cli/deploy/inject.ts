import { readFileSync } from 'node:fs';
import { CommandFailure, oneLine } from '../failure.js';
import { packageVersion } from '../package-info.js';
import { injectYaml } from './inject-yaml.js';

/** Flags of `outrider inject`, as commander parses them. */
export interface InjectFlags {
  readonly as: 'native' | 'container';
  readonly image?: string;
  readonly config?: string;
  readonly endpointslices?: boolean;
}

/** Descriptor of standard input. */
const STDIN = 0;

/**
 * `outrider inject FILE`: writes the file with the sidecar added to standard output, and what was
 * done to standard error, so that `| kubectl apply -f -` may follow.
 *
 * @returns 0.
 * @throws CommandFailure with every problem, one line each; nothing is written then.
 */
export function injectCommand(file: string, { as, image, config, endpointslices }: InjectFlags): number {
  const options = {
    as,
    image: image ?? `localhost/outrider:${packageVersion()}`,
    config,
    watchesEndpoints: endpointslices === true,
  };
  const { text, notes, problems } = injectYaml(readText(file), options);
  if (problems.length > 0)
    throw new CommandFailure(problems.map((problem) => `${file}: ${problem}`).join('\n'));
  for (const note of notes) process.stderr.write(`${note}\n`);
  process.stdout.write(text);
  return 0;
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
