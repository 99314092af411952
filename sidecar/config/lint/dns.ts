import { below, type Report } from '../options/option.js';
import type { SidecarFile } from '../options/sidecar-file.js';

/** Names that only the search list of a pod's resolv.conf completes, which is not read: they would never be found. */
export function warnOfShortNames({ upstreams }: NonNullable<SidecarFile['outbound']>, warn: Report): void {
  for (const [upstream, { dns }] of Object.entries(upstreams)) {
    if (dns === undefined || !isShort(dns.name)) continue;
    below(['upstreams', upstream, 'dns', 'name'], warn)(
      [],
      `${dns.name} is probably not the whole name, and the search list of /etc/resolv.conf is not used; in Kubernetes SERVICE.NAMESPACE.svc.cluster.local`,
    );
  }
}

/** One label alone, or a name of Kubernetes without the domain of its cluster. */
function isShort(name: string): boolean {
  return !name.includes('.') || /\.svc$/i.test(name);
}
