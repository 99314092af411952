/** Builds what the repository was a hundred commits ago, or at the named one, and prints the folder: what `npm run simulate -- --before` takes. */
import { buildOf } from './builds.js';

const [, , commit = 'HEAD~100'] = process.argv;
process.stdout.write(`${buildOf(commit).root}\n`);
