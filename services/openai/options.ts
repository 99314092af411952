/** The command line. */
import { parseArgs } from 'node:util';

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

export interface Options {
  readonly listen: ListenAddress;
  readonly engine: string;
  readonly names: readonly string[];
  readonly tokenizerFolder: string | undefined;
  readonly keyFile: string | undefined;
  /** Names that clients without keys may call it by; in lower case. */
  readonly hosts: readonly string[];
  /** Where grpc.health.v1 is served. */
  readonly health: string | undefined;
  readonly maxBodyBytes: number;
  readonly maxInFlight: number;
  readonly drainMs: number;
}

export const USAGE = `outrider-openai: OpenAI's HTTP API in front of a language-model engine that speaks gRPC

  --listen HOST:PORT    where clients call (127.0.0.1:8080); other than loopback needs --keys
  --engine ADDRESS      where the sidecar listens for calls to the engine; default: the only
                        OUTRIDER_UPSTREAM_NAME of the environment
  --model NAME          name of the model for clients, instead of the engine's own; may be repeated
  --tokenizer FOLDER    has tokenizer.json, instead of the tokenizer that the engine sends
  --keys FILE           API keys of callers
  --host NAME           without keys: a name that clients call it by, beside IP addresses and
                        localhost; others are refused, so that no web page reaches it. May be repeated
  --health HOST:PORT    where grpc.health.v1 is served, for a sidecar
  --max-body-mib N      largest request body (4)
  --max-in-flight N     requests that are answered at a time (512)
  --drain-seconds N     time for answers in flight after SIGTERM (30)

outrider-openai new-key NAME
  prints a new API key, and its line for the key file
`;

/** Throws an error whose message is for the user. */
export function readOptions(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      listen: { type: 'string', default: '127.0.0.1:8080' },
      engine: { type: 'string' },
      model: { type: 'string', multiple: true, default: [] },
      tokenizer: { type: 'string' },
      keys: { type: 'string' },
      host: { type: 'string', multiple: true, default: [] },
      health: { type: 'string' },
      'max-body-mib': { type: 'string', default: '4' },
      'max-in-flight': { type: 'string', default: '512' },
      'drain-seconds': { type: 'string', default: '30' },
    },
  });
  const listen = readAddress(values.listen);
  if (values.keys === undefined && !isLoopback(listen.host))
    throw new Error(`--listen ${values.listen} can be reached from other machines: give --keys too`);
  return {
    listen,
    engine: values.engine ?? engineOf(env),
    names: values.model,
    tokenizerFolder: values.tokenizer,
    keyFile: values.keys,
    hosts: values.host.map(readHost),
    health: values.health,
    maxBodyBytes: readNumber('max-body-mib', values['max-body-mib'], 1_024) * 1024 * 1024,
    maxInFlight: readNumber('max-in-flight', values['max-in-flight'], 100_000),
    drainMs: readNumber('drain-seconds', values['drain-seconds'], 3_600) * 1000,
  };
}

function engineOf(env: Readonly<Record<string, string | undefined>>): string {
  const found = Object.entries(env).filter(([name, value]) => name.startsWith('OUTRIDER_UPSTREAM_') && value);
  const [first, second] = found;
  if (first?.[1] !== undefined && second === undefined) return first[1];
  throw new Error(
    `--engine is missing, and the environment has ${found.length} variables OUTRIDER_UPSTREAM_NAME`,
  );
}

function readAddress(text: string): ListenAddress {
  const [, v6, name, port] = /^(?:\[([\da-fA-F:]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = v6 ?? name;
  if (host !== undefined && Number(port) <= 65_535) return { host, port: Number(port) };
  throw new Error(`--listen ${text}: expected HOST:PORT`);
}

function readHost(name: string): string {
  if (/^[a-z0-9_.-]{1,253}$/i.test(name)) return name.toLowerCase();
  throw new Error(`--host ${name}: expected a name without a port, such as chat.example`);
}

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);

function readNumber(name: string, text: string, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= max) return value;
  throw new Error(`--${name} ${text}: expected a whole number from 1 to ${max}`);
}
