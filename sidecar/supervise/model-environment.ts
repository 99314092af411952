/**
 * What a model process finds in its environment. A sidecar holds tokens and keys (`CONSUL_HTTP_TOKEN`, a cloud's); its
 * model is other people's code and gets only what finds programs, libraries, devices and the locale, and what it was given
 * by name. NODE_OPTIONS is withheld too: it tunes the sidecar, and an inspector's port in it can be taken only once.
 */

export interface ModelEnvironment {
  readonly env: Readonly<Record<string, string>>;
  /** Names of the variables that the model does not get, sorted. */
  readonly withheld: readonly string[];
}

type Variables = Readonly<Record<string, string | undefined>>;

/** Exact names, and `NAME*` for all that begin so. */
const ALWAYS = [
  'PATH',
  'HOME',
  'TMPDIR',
  'TZ',
  'LANG',
  'LANGUAGE',
  'LC_*',
  'LD_LIBRARY_PATH',
  'VIRTUAL_ENV',
  'PYTHON*',
  'CUDA_*',
  'NVIDIA_*',
  'OMP_*',
];

/**
 * @param own the sidecar's environment.
 * @param wanted `inherit`: names or `NAME*` passed on beside those above; `env`: set for the model, whatever is inherited.
 * @param set by the sidecar for its model: stands above all.
 */
export function modelEnvironment(
  own: Variables,
  wanted: { readonly inherit: readonly string[]; readonly env: Readonly<Record<string, string>> },
  set: Readonly<Record<string, string>>,
): ModelEnvironment {
  const patterns = [...ALWAYS, ...wanted.inherit];
  const given = { ...wanted.env, ...set };
  const env: Record<string, string> = {};
  const withheld: string[] = [];
  for (const [name, value] of Object.entries(own)) {
    if (value === undefined || name in given) continue;
    if (patterns.some((pattern) => isNamed(name, pattern))) env[name] = value;
    else withheld.push(name);
  }
  return { env: { ...env, ...given }, withheld: withheld.sort() };
}

function isNamed(name: string, pattern: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}
