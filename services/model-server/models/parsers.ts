/** The packages that read a model's card. `npm run build` puts them into this one module: they are 170 files (decision 68). */
export { parse } from 'yaml';
export { z } from 'zod';
