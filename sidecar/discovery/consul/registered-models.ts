import type { EndpointConfig } from '../../config/model.js';
import { compareVersions } from '../../core/models/version-policy.js';
import { getOrInsert } from '../../runtime/get-or-insert.js';

/** A version of a model. Empty version: its server does not say one. */
export interface NamedVersion {
  readonly name: string;
  readonly version: string;
}

/** Metadata of a registration that lists the models of its instance. */
export const MODELS_KEY = 'models';
/** Consul's bound on a value: a list that was cut off there is this long. */
const CUT_OFF_LENGTH = 512;
const NAME = /^[^\s:]{1,128}$/;
const VERSION = /^\d{1,19}$/;
/** In the place of versions that are no numbers, or that are not known. */
const NO_VERSION = '-';
const LISTED = /^([^\s:]{1,128}):(?:-|\d{1,19}(?:,\d{1,19})*)$/;

/**
 * The models of an instance by the metadata `models` of its registration, `NAME:VERSION,VERSION NAME:VERSION …`, in its order,
 * each with its versions; with none where they are not said. Undefined: it lists no models, or in another form, or not all of
 * them; then it may have any.
 */
export function registeredModels(
  meta: Readonly<Record<string, string>>,
): ReadonlyMap<string, readonly string[]> | undefined {
  const text = Object.hasOwn(meta, MODELS_KEY) ? meta[MODELS_KEY]! : '';
  if (text === '' || text.length >= CUT_OFF_LENGTH) return undefined;
  const models = new Map<string, readonly string[]>();
  for (const word of text.split(' ')) {
    const name = LISTED.exec(word)?.[1];
    if (name === undefined) return undefined;
    const versions = word.slice(name.length + 1);
    models.set(name, versions === NO_VERSION ? [] : versions.split(','));
  }
  return models;
}

/** The same as an endpoint has it. Versions that are not said are not in it: the instance may have any. */
export function claimsOf(
  meta: Readonly<Record<string, string>>,
): Pick<EndpointConfig, 'models' | 'versions'> {
  const models = registeredModels(meta);
  if (models === undefined) return {};
  const said = [...models].filter(([, versions]) => versions.length > 0);
  return {
    models: [...models.keys()],
    ...(said.length === 0 ? {} : { versions: Object.fromEntries(said) }),
  };
}

/**
 * That metadata for these models: all versions of each; where that does not fit, the highest of each; where that does not
 * either, or a name cannot be written so, nothing, as part of a list would keep calls away from what it leaves out.
 */
export function modelsValue(models: readonly NamedVersion[]): string {
  const byName = new Map<string, string[]>();
  for (const { name, version } of models) getOrInsert(byName, name, () => []).push(version);
  if ([...byName.keys()].some((name) => !NAME.test(name))) return '';
  const listed = [...byName].map(([name, versions]) => ({
    name,
    versions: versions.every((each) => VERSION.test(each)) ? versions.toSorted(compareVersions) : [],
  }));
  const write = (most: number): string =>
    listed.map(({ name, versions }) => `${name}:${versions.slice(-most).join(',') || NO_VERSION}`).join(' ');
  return [write(Number.POSITIVE_INFINITY), write(1)].find(({ length }) => length < CUT_OFF_LENGTH) ?? '';
}
