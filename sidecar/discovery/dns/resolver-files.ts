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

/** What is said of a file that is not there. */
const GONE: ReadonlySet<string | undefined> = new Set(['ENOENT', 'ENOTDIR']);

/**
 * What the machine's files say of names: the search list and options of resolv.conf(5), the addresses of hosts(5). Each is looked at when
 * it is asked for and read again when it has changed. One that is not there is empty. One that cannot be read says what it said before:
 * without a search list a short name would not exist, and its endpoints would be taken away.
 */
export class ResolverFiles {
  private readonly resolvConf: WatchedText<ResolverSettings>;
  private readonly hosts: WatchedText<ReadonlyMap<string, KnownAddresses>>;

  /**
   * @param env has `LOCALDOMAIN` and `RES_OPTIONS`.
   * @param host name of this machine; absent: as the system says.
   */
  constructor(env: ResolverPlace['env'], paths: ResolverPaths = USUAL, host?: string) {
    this.resolvConf = new WatchedText(paths.resolvConf, (text) =>
      readResolvConf(text, { hostname: host ?? hostname(), env }),
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

/** A file and what was made of its text, until the file is another one that can be read. */
class WatchedText<T> {
  private version: string | undefined;
  private value: T | undefined;

  constructor(
    private readonly path: string,
    private readonly parse: (text: string) => T,
  ) {}

  read(): T {
    const { version, text } = this.look();
    if (this.value !== undefined && version === this.version) return this.value;
    const read = text();
    // As when the process has no file descriptor left: the next look tries again.
    if (read === undefined) return this.value ?? this.parse('');
    this.version = version;
    this.value = this.parse(read);
    return this.value;
  }

  /** `text` gives undefined where the file is there and could not be read. */
  private look(): { readonly version: string; readonly text: () => string | undefined } {
    try {
      const stat = statSync(this.path);
      const isReadable = stat.isFile() && stat.size <= MAX_BYTES;
      const version = `${stat.ino} ${stat.size} ${stat.mtimeMs}`;
      return { version, text: () => (isReadable ? textOf(this.path) : '') };
    } catch (error) {
      const isThere = !GONE.has((error as NodeJS.ErrnoException).code);
      return { version: '', text: () => (isThere ? undefined : '') };
    }
  }
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
