import { join } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { oneLanguage } from '../one-language.js';
import { SQUEEZE } from './squeeze.js';

/** The one module outside the bundle that imports zod, 8 MB of which some 200 kB are used. */
const WITH_ZOD = 'dist/services/model-server/models/card.js';

/**
 * Writes the module that imports zod once more into `folder`, with zod inside. The other modules stay what they are, because
 * code of models imports some and there must be one of each (decision 68).
 */
export async function inlineZod(folder: string): Promise<void> {
  const besideOnly: Plugin = {
    name: 'beside-only',
    setup({ onResolve }) {
      onResolve({ filter: /./ }, ({ path, importer, kind }) =>
        kind === 'entry-point' || path === 'zod' || importer.includes('/node_modules/zod/')
          ? undefined
          : { path, external: true },
      );
    },
  };
  await build({
    entryPoints: [WITH_ZOD],
    outfile: join(folder, WITH_ZOD),
    allowOverwrite: true,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    legalComments: 'inline',
    ...SQUEEZE,
    logLevel: 'warning',
    plugins: [oneLanguage, besideOnly],
  });
}
