import { build } from 'esbuild';
import { oneLanguage } from './one-language.js';
import { SQUEEZE } from './pack/squeeze.js';

/** The module through which the model server has zod and yaml. */
const SOURCE = 'services/model-server/models/parsers.ts';
const PARSERS = 'dist/services/model-server/models/parsers.js';

/** CommonJS packages ask for Node's modules by `require`, which ES modules have not. */
export const REQUIRE = `import { createRequire as makeRequire } from 'node:module';
const require = makeRequire(import.meta.url);`;

/**
 * Writes that module with the packages inside: finding and reading their 170 files took a seventh of the CPU time of a model
 * server's start. All other modules stay what they are, because code of models imports some and there must be one of each
 * (decision 68).
 */
export async function inlineParsers(): Promise<void> {
  await build({
    entryPoints: [SOURCE],
    outfile: PARSERS,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    sourcemap: true,
    sourcesContent: false,
    legalComments: 'inline',
    ...SQUEEZE,
    banner: { js: REQUIRE },
    logLevel: 'warning',
    plugins: [oneLanguage],
  });
}
