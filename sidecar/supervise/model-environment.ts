/** The environment of a model process. */
export interface ModelEnvironment {
  readonly env: Readonly<Record<string, string>>;
  /** Names of the variables that the model does not get, sorted. */
  readonly withheld: readonly string[];
}

type Variables = Readonly<Record<string, string | undefined>>;

/** Inherited by every model: names, or prefixes with `*`; of programs and libraries, the locale, and devices. */
const PROGRAMS = ['PATH', 'HOME', 'TMPDIR', 'LD_LIBRARY_PATH', 'VIRTUAL_ENV', 'PYTHON*'];
const LOCALE = ['TZ', 'LANG', 'LANGUAGE', 'LC_*'];
const ALWAYS = [...PROGRAMS, ...LOCALE, 'CUDA_*', 'NVIDIA_*', 'OMP_*'];

/**
 * Selects the environment of a model process. The sidecar's holds tokens and keys
 * (`CONSUL_HTTP_TOKEN`, a cloud's), and a model is foreign code: it inherits what finds programs,
 * libraries, devices and the locale, and what the file names. NODE_OPTIONS is withheld: it tunes
 * the sidecar, and an inspector port in it can be bound only once.
 *
 * @param own the sidecar's environment.
 * @param wanted `inherit`: further names or `NAME*`; `env`: set for the model.
 * @param set by the sidecar; overrides all others.
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
