import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Paths of the compiled files below `root`/dist, `.js` and `.js.map`, whose TypeScript source is not below `root` any more.
 * The compiler leaves them there, and mocha would run tests among them.
 */
export function staleOutput(root: string): string[] {
  const dist = join(root, 'dist');
  return readdirSync(dist, { recursive: true, encoding: 'utf8' })
    .filter((path) => /\.js(\.map)?$/.test(path))
    .filter((path) => !existsSync(join(root, path.replace(/\.js(\.map)?$/, '.ts'))))
    .map((path) => join(dist, path));
}
