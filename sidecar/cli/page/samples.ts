/** One line of the Prometheus text format: its labels and its value. */
export interface TextSample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/**
 * Name, labels and value of a line, of the format that prom-client writes: no space inside the braces but in
 * values, no timestamps. A line of another form is passed over.
 */
const LINE = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
/** One label; its value may hold quotes and backslashes behind backslashes. */
const LABEL = /([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/**
 * The samples of some metrics in a scrape, by name; a name that is not there has none. Lines that are none are passed over: the text
 * comes from another process.
 */
export function samplesIn(
  text: string,
  names: readonly string[],
): ReadonlyMap<string, readonly TextSample[]> {
  const found = new Map<string, TextSample[]>(names.map((name) => [name, []]));
  for (const line of text.split('\n')) {
    const [, name, labels = '', value] = LINE.exec(line) ?? [];
    const samples = name === undefined ? undefined : found.get(name);
    const number = Number(value);
    if (samples === undefined || Number.isNaN(number)) continue;
    const pairs = [...labels.matchAll(LABEL)].map(([, label, text]) => [
      label!,
      text!.replaceAll(/\\(.)/g, (_, sign: string) => (sign === 'n' ? '\n' : sign)),
    ]);
    samples.push({ labels: Object.fromEntries(pairs), value: number });
  }
  return found;
}
