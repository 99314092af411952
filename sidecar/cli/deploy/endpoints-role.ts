/** The account of pods whose sidecars watch the endpoints of services. */
export interface EndpointsAccount {
  readonly account: string;
  /** Of the pods; undefined: the file does not say it. */
  readonly namespace: string | undefined;
}

const GROUP = 'rbac.authorization.k8s.io';

/**
 * The objects that let an account watch the endpoints of one namespace; `get` on services is for messages alone. In a namespace that is not
 * its own, the name says whose they are: accounts of several namespaces may have the same name.
 *
 * @param of the namespace of the services.
 */
export function endpointsRole(
  { account, namespace }: EndpointsAccount,
  of: string | undefined,
): RoleObject[] {
  const isOwn = of === namespace;
  const name = isOwn ? `outrider-endpoints-${account}` : `outrider-endpoints-${namespace}-${account}`;
  const metadata = { name, ...(of === undefined ? {} : { namespace: of }) };
  const apiVersion = `${GROUP}/v1`;
  const subject = {
    kind: 'ServiceAccount',
    name: account,
    ...(namespace === undefined ? {} : { namespace }),
  };
  return [
    {
      apiVersion,
      kind: 'Role',
      metadata,
      rules: [
        { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['get', 'list', 'watch'] },
        { apiGroups: [''], resources: ['services'], verbs: ['get'] },
      ],
    },
    {
      apiVersion,
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: GROUP, kind: 'Role', name },
      subjects: [subject],
    },
  ];
}

/** A Role or a RoleBinding. */
export interface RoleObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly [field: string]: unknown;
}

/** Rights of the account that pods have which name none are those of all such pods of the namespace. */
export function noteOfRole({ account, namespace }: EndpointsAccount, of: string | undefined): string {
  const where = of === namespace ? '' : ` in the namespace ${of}`;
  const note = `Role and RoleBinding of the account ${account}${where}: added`;
  if (account !== 'default') return note;
  return `${note}; all pods of the namespace without serviceAccountName have this account`;
}
