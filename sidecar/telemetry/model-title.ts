import type { ModelReport } from './reports.js';

/** A model as people read it: `digits`, with its version and the number of its instance where these are told apart. */
export function modelTitle({
  name = '',
  version,
  instance,
}: Pick<ModelReport, 'name' | 'version' | 'instance'> & { readonly state: string }): string {
  const which = version === undefined || version === '' ? name : `${name} version ${version}`;
  return instance === undefined ? which : `${which}, instance ${instance}`;
}
