import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import type { ConsulConfig } from '../../../config/model.js';
import { defined } from '../../../config/present.js';
import {
  codeOf,
  type Environment,
  nonEmpty,
  readIfSmall,
  readSmall,
  stampOf,
  wrong,
} from '../../settings-files.js';
import { tokenSource } from './token.js';

/** The part of the `consul` block that says where the agent is and how it is asked. */
export type AgentConfig = {
  readonly [Part in 'address' | 'tokenFile']?: ConsulConfig[Part] | undefined;
} & Pick<ConsulConfig, 'tls'>;

type Protocol = 'http:' | 'https:';

/** Where the agent listens. `path` is put before `/v1`; mostly empty. */
export type AgentAddress =
  | {
      readonly kind: 'tcp';
      readonly protocol: Protocol;
      /** Without the brackets of an IPv6 address. */
      readonly hostname: string;
      readonly port: number;
      readonly path: string;
    }
  | { readonly kind: 'unix'; readonly protocol: Protocol; readonly socketPath: string };

/** Contents of PEM files, not their names. */
export interface AgentTls {
  readonly ca?: readonly string[];
  readonly cert?: string;
  readonly key?: string;
  readonly serverName?: string;
  readonly verify: boolean;
}

/** Where the agent is and how requests to it are made. */
export interface AgentSettings {
  readonly address: AgentAddress;
  /** What the next connection is made with. */
  tls(): AgentTls;
  /** The ACL token to send with the next request; undefined: none. */
  token(): string | undefined;
}

/**
 * The settings for the Consul agent: from the file, else from the environment variables that Consul's own tools read.
 * Files named in them are read again when they have changed. While they cannot be used, what was good last stays.
 * @throws Error with one line that names the option or variable, what it says and what was expected; never a token.
 */
export function agentSettings(config: AgentConfig, env: Environment): AgentSettings {
  refuseEnterprise(env);
  const protocol = flag(env, 'CONSUL_HTTP_SSL') === true ? 'https:' : 'http:';
  const address =
    config.address === undefined
      ? fromVariable(env['CONSUL_HTTP_ADDR'], protocol)
      : parseAddress('consul.address', config.address, protocol);
  return { address, tls: tlsSource(config, env), token: tokenSource(config, env) };
}

/** An address for messages: `http://127.0.0.1:8500`, `unix:///run/consul.sock`. */
export function describeAddress(address: AgentAddress): string {
  if (address.kind === 'unix') return `unix://${address.socketPath}`;
  const host = address.hostname.includes(':') ? `[${address.hostname}]` : address.hostname;
  return `${address.protocol}//${host}:${address.port}${address.path}`;
}

/** The address in `CONSUL_HTTP_ADDR`; `127.0.0.1:8500` where it is unset, as for Consul's own tools. */
function fromVariable(text: string | undefined, protocol: Protocol): AgentAddress {
  const address = parseAddress('CONSUL_HTTP_ADDR', text || '127.0.0.1:8500', protocol);
  // As Consul's tools: asked for by its own variable, TLS is not taken back by an address that says http.
  return protocol === 'https:' ? { ...address, protocol } : address;
}

const EXPECTED_ADDRESS = 'http://host:port, https://host:port, unix:///path or host:port';

/** An address as Consul's tools spell it. @throws Error that quotes no address with credentials in it. */
function parseAddress(from: string, text: string, protocol: Protocol): AgentAddress {
  if (text.startsWith('unix://')) {
    const socketPath = text.slice('unix://'.length);
    if (!socketPath.startsWith('/')) throw wrong(from, text, 'unix:// and an absolute path');
    return { kind: 'unix', protocol, socketPath };
  }
  // An address with credentials in it is not quoted.
  if (text.includes('@'))
    throw new Error(`${from} must not hold a user or a password; expected ${EXPECTED_ADDRESS}`);
  let url: URL;
  try {
    url = new URL(text.includes('://') ? text : `${protocol}//${text}`);
  } catch {
    throw wrong(from, text, EXPECTED_ADDRESS);
  }
  const isHttp = url.protocol === 'http:' || url.protocol === 'https:';
  if (!isHttp || url.hostname === '' || url.port === '0' || url.search !== '' || url.hash !== '')
    throw wrong(from, text, EXPECTED_ADDRESS);
  return {
    kind: 'tcp',
    protocol: url.protocol as Protocol,
    hostname: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port || (url.protocol === 'https:' ? 443 : 80)),
    path: url.pathname.replace(/\/+$/, ''),
  };
}

/** Namespaces and partitions are Consul Enterprise's; no request here names one. */
function refuseEnterprise(env: Environment): void {
  const expected = 'it unset or "default": namespaces and partitions of Consul Enterprise are not supported';
  for (const name of ['CONSUL_NAMESPACE', 'CONSUL_PARTITION']) {
    const value = env[name] || 'default';
    if (value !== 'default') throw wrong(name, value, expected);
  }
}

/** The spellings that Go's `strconv.ParseBool` takes. */
const TRUE = ['1', 't', 'T', 'true', 'TRUE', 'True'];
const FALSE = ['0', 'f', 'F', 'false', 'FALSE', 'False'];

/** The spellings that Consul's tools take. */
function flag(env: Environment, name: string): boolean | undefined {
  const value = nonEmpty(env[name]);
  if (value === undefined) return undefined;
  if (TRUE.includes(value) || FALSE.includes(value)) return TRUE.includes(value);
  throw wrong(name, value, 'true or false');
}

function tlsSource(config: AgentConfig, env: Environment): () => AgentTls {
  const { ca, cert, key } = config.tls;
  const paths = [
    ca ?? nonEmpty(env[PEMS.ca[0]]) ?? nonEmpty(env['CONSUL_CAPATH']),
    cert ?? nonEmpty(env[PEMS.cert[0]]),
    key ?? nonEmpty(env[PEMS.key[0]]),
  ];
  const stamp = (): string => paths.map((path) => (path === undefined ? '' : stampOf(path))).join();
  let seen = stamp();
  let tls = tlsOf(config, env);
  return () => {
    const now = stamp();
    if (now === seen) return tls;
    try {
      const next = tlsOf(config, env);
      // Of a certificate and its key, one may be written already and the other one not.
      createSecureContext(defined({ ca: next.ca && [...next.ca], cert: next.cert, key: next.key }));
      tls = next;
      seen = now;
    } catch {}
    return tls;
  };
}

/**
 * Certificates of the file, each else from its variable. A client certificate needs its key, and the other way round.
 */
function tlsOf({ tls }: AgentConfig, env: Environment): AgentTls {
  const ca = authorities(tls, env);
  const cert = pem(tls, 'cert', env);
  const key = pem(tls, 'key', env);
  if ((cert === undefined) !== (key === undefined)) {
    const [there, missing] = cert === undefined ? ['key', 'certificate'] : ['certificate', 'key'];
    const found = `a client ${there} for the Consul agent is given and no client ${missing}`;
    throw new Error(`${found}; expected both or neither`);
  }
  const serverName = tls.serverName ?? nonEmpty(env['CONSUL_TLS_SERVER_NAME']);
  const verify = tls.verify ?? flag(env, 'CONSUL_HTTP_SSL_VERIFY') ?? true;
  return { ...defined({ ca, cert, key, serverName }), verify };
}

/** The CA of the file or of `CONSUL_CACERT`, else all certificates in the directory `CONSUL_CAPATH`. */
function authorities(tls: ConsulConfig['tls'], env: Environment): string[] | undefined {
  const one = pem(tls, 'ca', env);
  if (one !== undefined) return [one];
  const directory = nonEmpty(env['CONSUL_CAPATH']);
  if (directory === undefined) return undefined;
  let names: string[];
  try {
    names = readdirSync(directory).sort();
  } catch (error) {
    throw wrong('CONSUL_CAPATH', directory, `a directory of PEM files: ${codeOf(error)}`);
  }
  // Other files are passed over, as by Consul's tools.
  const found = names
    .map((name) => readIfSmall(join(directory, name)))
    .filter((text) => holds(text, 'CERTIFICATE'));
  if (found.length === 0)
    throw wrong('CONSUL_CAPATH', directory, 'a directory with at least one PEM certificate');
  return found;
}

/** Variables for the options below `consul.tls`, and what their files hold. */
const PEMS = {
  ca: ['CONSUL_CACERT', 'CERTIFICATE'],
  cert: ['CONSUL_CLIENT_CERT', 'CERTIFICATE'],
  key: ['CONSUL_CLIENT_KEY', 'PRIVATE KEY'],
} as const;

/**
 * The content of a PEM file that the option or the variable names; undefined where neither does. @throws Error of one
 * line
 */
function pem(tls: ConsulConfig['tls'], part: keyof typeof PEMS, env: Environment): string | undefined {
  const [variable, what] = PEMS[part];
  const from = tls[part] === undefined ? variable : `consul.tls.${part}`;
  const file = tls[part] ?? nonEmpty(env[variable]);
  if (file === undefined) return undefined;
  let text: string;
  try {
    text = readSmall(file);
  } catch (error) {
    throw wrong(from, file, `a readable PEM file: ${codeOf(error)}`);
  }
  if (!holds(text, what)) throw wrong(from, file, `a PEM file with a ${what.toLowerCase()} in it`);
  return text;
}

/** Whether a text has a PEM block of this kind, such as `CERTIFICATE`; `RSA PRIVATE KEY` counts as `PRIVATE KEY`. */
function holds(text: string, what: string): boolean {
  return new RegExp(`-----BEGIN ([A-Z0-9]+ )*${what}-----`).test(text);
}
