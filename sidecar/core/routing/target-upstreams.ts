type FallbackStep = { readonly kind: 'upstream'; readonly upstream: string } | { readonly kind: 'last-good' };

/** What of an upstream says where its calls may go besides. */
export interface RoutedUpstream {
  readonly name: string;
  readonly routes: readonly {
    readonly fallback?: readonly FallbackStep[] | undefined;
    readonly split?:
      | {
          readonly match: readonly { readonly upstream: string }[];
          readonly weights: Readonly<Record<string, number>>;
        }
      | undefined;
    readonly mirror?: { readonly upstream: string } | undefined;
  }[];
}

/**
 * The upstreams that get calls of others: by a fallback, a split or a mirror. Where upstreams name each other in a circle, the first of them
 * in the file is none: calls begin somewhere.
 */
export function targetUpstreams(upstreams: readonly RoutedUpstream[]): ReadonlySet<string> {
  const byName = new Map(upstreams.map((each) => [each.name, each]));
  const named = new Set(upstreams.flatMap(othersOf));
  const targets = new Set<string>();
  const follow = (from: RoutedUpstream, first: string): void => {
    for (const name of othersOf(from)) {
      const target = byName.get(name);
      if (target === undefined || name === first || targets.has(name)) continue;
      targets.add(name);
      follow(target, first);
    }
  };
  for (const each of upstreams) if (!named.has(each.name)) follow(each, each.name);
  for (const each of upstreams) if (!targets.has(each.name)) follow(each, each.name);
  return targets;
}

function othersOf({ name, routes }: RoutedUpstream): string[] {
  const all = routes.flatMap(({ fallback = [], split, mirror }) => [
    ...fallback.map((step) => (step.kind === 'upstream' ? step.upstream : undefined)),
    ...(split?.match ?? []).map(({ upstream }) => upstream),
    ...Object.keys(split?.weights ?? {}),
    mirror?.upstream,
  ]);
  return all.filter((other): other is string => other !== undefined && other !== name);
}
