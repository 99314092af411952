import { isIPv6 } from 'node:net';
import { readAddress } from '../../config/codecs/address.js';
import type { Address, KubernetesConfig } from '../../config/model.js';
import { codeOf, type Environment, nonEmpty, readSmall } from '../settings-files.js';

/** Where Kubernetes puts the account of a pod. */
const ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

/** Where the API is asked, and by which right, for one request. */
export interface ApiSettings {
  readonly isTls: boolean;
  readonly address: Extract<Address, { kind: 'tcp' }>;
  /** Absent: a proxy has its own. */
  readonly token?: string;
  /** PEM; absent: the machine's own roots. */
  readonly ca?: string;
}

/**
 * The settings for the next request: files are read each time, as Kubernetes replaces token and roots while a pod runs. While a file
 * cannot be read, what it said last is used.
 */
export class ApiFiles {
  private readonly last = new Map<string, string>();

  /** @param account folder of the pod's account. */
  constructor(
    private readonly env: Environment,
    private readonly account: string = ACCOUNT,
  ) {}

  /** @throws Error that says what is missing. */
  settings(config: KubernetesConfig): ApiSettings {
    const url = config.server ?? this.ownServer();
    const place = readAddress(url.replace(/^https?:\/\//, ''));
    if (!place.ok || place.value.kind !== 'tcp') throw new Error(`found "${url}"; expected an API server`);
    const address = place.value;
    if (url.startsWith('http:')) return { isTls: false, address };
    const caFile = config.caFile ?? `${this.account}/ca.crt`;
    const token = this.read('token_file', config.tokenFile ?? `${this.account}/token`).trim();
    if (!/^[\x21-\x7e]{1,16384}$/.test(token))
      throw new Error('token_file holds something else than a token; expected one line of printable ASCII');
    // An API server with a public certificate needs no file; that of a pod has one.
    const isNamed = config.caFile !== undefined || config.server === undefined;
    return { isTls: true, address, token, ...(isNamed ? { ca: this.read('ca_file', caFile) } : {}) };
  }

  /** The namespace of this pod. @throws Error outside of one. */
  ownNamespace(): string {
    const path = `${this.account}/namespace`;
    try {
      return this.text(path).trim();
    } catch (error) {
      throw new Error(
        `found no namespace in service, and none in ${path} (${codeOf(error)}); expected NAME.NAMESPACE outside of a pod`,
      );
    }
  }

  private ownServer(): string {
    const host = nonEmpty(this.env['KUBERNETES_SERVICE_HOST']);
    if (host === undefined)
      throw new Error(
        'found no KUBERNETES_SERVICE_HOST in the environment; expected `server` outside of a pod',
      );
    const port = nonEmpty(this.env['KUBERNETES_SERVICE_PORT']) ?? '443';
    return `https://${isIPv6(host) ? `[${host}]` : host}:${port}`;
  }

  private read(option: string, path: string): string {
    try {
      return this.text(path);
    } catch (error) {
      throw new Error(
        `${path} cannot be read (${codeOf(error)}); expected the account of a pod, or \`${option}\``,
      );
    }
  }

  private text(path: string): string {
    try {
      const text = readSmall(path);
      // A file that is being replaced may be empty.
      if (text.trim() === '') throw Object.assign(new Error('empty'), { code: 'it is empty' });
      this.last.set(path, text);
      return text;
    } catch (error) {
      const known = this.last.get(path);
      if (known === undefined) throw error;
      return known;
    }
  }
}
