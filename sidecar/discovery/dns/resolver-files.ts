import { readFileSync, statSync } from 'node:fs';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import type { KnownAddresses } from '../../core/discovery/dns-answer.js';
import { readHosts } from '../../core/discovery/hosts-file.js';
import {
  type ResolverPlace,
  type ResolverSettings,
  readResolvConf,
} from '../../core/discovery/resolv-conf.js';

/** Where the files are that say how names are resolved. */
export interface ResolverPaths {
  readonly resolvConf: string;
  readonly hosts: string;
}

const USUAL: ResolverPaths = { resolvConf: '/etc/resolv.conf', hosts: '/etc/hosts' };
/** A larger file is not read: it is a list of what to block, and parsing it would hold up calls. */
const MAX_BYTES = 1024 * 1024;

/**
 * What the machine's files say of names: the search list and options of resolv.conf(5), the addresses of hosts(5). Each is looked at when
 * it is asked for and read again when it has changed. One that is not there, or cannot be read, is empty.
 */
export class ResolverFiles {
  private readonly resolvConf: WatchedText<ResolverSettings>;
  private readonly hosts: WatchedText<ReadonlyMap<string, KnownAddresses>>;

  /** @param env has `LOCALDOMAIN` and `RES_OPTIONS`. */
  constructor(env: ResolverPlace['env'], paths: ResolverPaths = USUAL) {
    this.resolvConf = new WatchedText(paths.resolvConf, (text) =>
      readResolvConf(text, { hostname: hostname(), env }),
    );
    this.hosts = new WatchedText(paths.hosts, (text) => readHosts(text, isIP));
  }

  settings(): ResolverSettings {
    return this.resolvConf.read();
  }

  /** The addresses of a name in /etc/hosts, as it is written, in whatever case; undefined: it is not there. */
  addressesOf(name: string): KnownAddresses | undefined {
    return this.hosts.read().get(name.toLowerCase());
  }
}

/** A file and what was made of its text, until the file is another one. */
class WatchedText<T> {
  private version: string | undefined;
  private value: T | undefined;

  constructor(
    private readonly path: string,
    private readonly parse: (text: string) => T,
  ) {}

  read(): T {
    const { version, text } = this.look();
    if (this.value === undefined || version !== this.version) this.value = this.parse(text());
    this.version = version;
    return this.value;
  }

  private look(): { readonly version: string; readonly text: () => string } {
    try {
      const stat = statSync(this.path);
      const isReadable = stat.isFile() && stat.size <= MAX_BYTES;
      const version = `${stat.ino} ${stat.size} ${stat.mtimeMs}`;
      return { version, text: () => (isReadable ? textOf(this.path) : '') };
    } catch {
      return { version: '', text: () => '' };
    }
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
