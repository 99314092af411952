/**
 * The packages that read a model's card. `npm run build` puts what is named here into this one module: the packages are 170 files
 * (decision 68).
 */
export { parse as parseYaml } from 'yaml';
export {
  array,
  boolean,
  enum,
  int,
  number,
  type output,
  record,
  registry,
  strictObject,
  string,
  union,
  unknown,
  type ZodType,
} from 'zod';
