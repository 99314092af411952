import { type IncomingMessage, request as plainRequest, type RequestOptions } from 'node:http';
import { request as tlsRequest } from 'node:https';
import { writeAddress } from '../../config/codecs/address.js';
import type { KubernetesConfig } from '../../config/model.js';
import type { Network } from '../../transport/network.js';
import type { ApiFiles, ApiSettings } from './api-settings.js';

/** What comes back, in this order: `head` once, `data`, `end` once. Nothing within the call that starts it, nothing after `cancel`. */
export interface ApiEvents {
  head(status: number, retryAfter: string | undefined): void;
  data(chunk: Buffer): void;
  /** @param problem undefined: the response is whole. */
  end(problem: string | undefined): void;
}

/** A request that is under way. */
export interface ApiRequest {
  cancel(): void;
}

/** Reads of the API of a cluster. */
export interface KubernetesApi {
  /** The namespace of this pod. @throws Error that says what is missing. */
  ownNamespace(): string;
  /** A GET of this path. @throws Error that says which setting is missing. */
  get(config: KubernetesConfig, path: string, events: ApiEvents): ApiRequest;
}

/** A silent connection gets probes after this long, ms; with Linux's 10 probes of 1 s each, a lost one is found after 25 s. */
const KEEP_ALIVE_MS = 15_000;

/** The API by HTTP/1.1, one connection for each request: there are few, and each watch needs its own. */
export class ApiClient implements KubernetesApi {
  /** @param network where connections without TLS come from; absent: the operating system. */
  constructor(
    private readonly files: ApiFiles,
    private readonly network?: Network,
  ) {}

  ownNamespace(): string {
    return this.files.ownNamespace();
  }

  get(config: KubernetesConfig, path: string, events: ApiEvents): ApiRequest {
    const settings = this.files.settings(config);
    const { token } = settings;
    const where = writeAddress(settings.address);
    let isOver = false;
    const end = (problem: string | undefined): void => {
      if (isOver) return;
      isOver = true;
      events.end(problem);
    };
    const sent = this.send(settings, path, (response) => {
      if (isOver) return;
      events.head(response.statusCode ?? 0, response.headers['retry-after']);
      response.on('data', (chunk: Buffer) => {
        if (!isOver) events.data(chunk);
      });
      response.once('end', () => end(undefined));
      response.once('close', () => end(response.complete ? undefined : 'the connection broke'));
      response.on('error', () => {});
    });
    if (token !== undefined) sent.setHeader('authorization', `Bearer ${token}`);
    sent.once('socket', (socket) => socket.setKeepAlive(true, KEEP_ALIVE_MS));
    sent.on('error', (error: NodeJS.ErrnoException) => end(`${where}: ${error.code ?? error.message}`));
    sent.end();
    return {
      cancel: () => {
        isOver = true;
        sent.destroy();
      },
    };
  }

  private send(settings: ApiSettings, path: string, onResponse: (response: IncomingMessage) => void) {
    const { isTls, address, ca } = settings;
    const { host, port } = address;
    const headers = { accept: 'application/json', 'user-agent': 'outrider' };
    const options: RequestOptions = { host, port, path, headers, agent: false };
    if (isTls) return tlsRequest({ ...options, ...(ca === undefined ? {} : { ca }) }, onResponse);
    const { network } = this;
    if (network === undefined) return plainRequest(options, onResponse);
    return plainRequest({ ...options, createConnection: () => network.dial(address) }, onResponse);
  }
}
