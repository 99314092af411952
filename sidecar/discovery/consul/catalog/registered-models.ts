/** As a sidecar registers them: a list that Consul's bound on a value may have cut off is this long. */
const CUT_OFF_LENGTH = 512;
const LISTED = /^([^\s:]{1,128}):\d{1,19}$/;

/**
 * The models of an instance by the metadata `models` of its registration, `NAME:VERSION NAME:VERSION …` (the highest
 * version of each). Undefined: it lists none, or in another form, or not all of them; then it may have any.
 */
export function registeredModels(meta: Readonly<Record<string, string>>): readonly string[] | undefined {
  const text = Object.hasOwn(meta, 'models') ? meta['models']! : '';
  if (text === '' || text.length >= CUT_OFF_LENGTH) return undefined;
  const names: string[] = [];
  for (const word of text.split(' ')) {
    const name = LISTED.exec(word)?.[1];
    if (name === undefined) return undefined;
    names.push(name);
  }
  return names;
}
