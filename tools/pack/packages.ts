/**
 * The two packages that are made of this tree: `outrider`, the sidecar and the command line, and `outrider-models`, which
 * brings the inference runtime. What they say in their `package.json` is decided here (decision 91).
 */

/** What of the tree's own `package.json` goes into those of the packages. */
export interface TreePackage {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly license: string;
  readonly type: string;
  readonly engines: Readonly<Record<string, string>>;
  readonly bin: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
}

/** What runs the models, and its name in the package that brings it. */
export const RUNTIME = 'onnxruntime-node';
const MODELS_PACKAGE = 'outrider-models';

/** What a registry is told of both packages. */
interface Published {
  readonly keywords: readonly string[];
  readonly repository?: { readonly type: 'git'; readonly url: string };
  readonly homepage?: string;
  readonly bugs?: { readonly url: string };
  readonly publishConfig: { readonly access: 'public'; readonly provenance: true };
}

/**
 * Fields for a registry. A registry takes the statement of provenance only from a build of the repository that the package names.
 *
 * @param repository `https://HOST/OWNER/NAME`; undefined: the packages are for this machine.
 * @throws Error for another form.
 */
export function publishedFields(repository: string | undefined): Published {
  const publishConfig = { access: 'public', provenance: true } as const;
  const keywords = ['grpc', 'service-mesh', 'sidecar', 'inference', 'consul', 'onnx'];
  if (repository === undefined) return { keywords, publishConfig };
  if (!/^https:\/\/[\w.-]+\/[\w.-]+\/[\w.-]+$/.test(repository))
    throw new Error(`--repository: found '${repository}', expected https://HOST/OWNER/NAME`);
  return {
    keywords,
    repository: { type: 'git', url: `git+${repository}.git` },
    homepage: `${repository}#readme`,
    bugs: { url: `${repository}/issues` },
    publishConfig,
  };
}

/**
 * `package.json` of `outrider`.
 *
 * @param needed packages that are imported at run time and are not in the bundle.
 * @param repository see `publishedFields`.
 * @throws Error for one that the tree does not depend on.
 */
export function programPackage(tree: TreePackage, needed: readonly string[], repository?: string): object {
  const dependencies = Object.fromEntries(
    needed.map((name) => {
      const range = tree.dependencies[name];
      if (range === undefined) throw new Error(`${name} is imported, and package.json does not name it`);
      return [name, range];
    }),
  );
  const { name, version, description, license, type, engines, bin } = tree;
  return {
    ...{ name, version, description, license, type, engines, bin, dependencies },
    ...publishedFields(repository),
    // Named so that `outrider` can say which version it wants; npm installs none by itself.
    peerDependencies: { [RUNTIME]: tree.optionalDependencies[RUNTIME] },
    peerDependenciesMeta: { [RUNTIME]: { optional: true } },
  };
}

/** `package.json` of `outrider-models`: nothing but the runtime, in the versions that `outrider` of this version takes. */
export function modelsPackage(
  { version, license, engines, optionalDependencies }: TreePackage,
  repository?: string,
): Record<string, unknown> {
  return {
    name: MODELS_PACKAGE,
    version,
    description: 'The inference runtime (ONNX, on CPUs) for models that outrider serves',
    ...{ license, engines },
    ...publishedFields(repository),
    // Peers lie beside `outrider` and not below this package, where it would not find them.
    peerDependencies: { outrider: version, [RUNTIME]: optionalDependencies[RUNTIME] },
  };
}

/** README of `outrider-models`. */
export function modelsReadme({ version }: Pick<TreePackage, 'version'>): string {
  return `# outrider-models

The inference runtime for models that \`outrider\` serves: \`outrider serve\`, and \`outrider up\` with services of \`models\`. A
sidecar beside another model server does not need it. The libraries for CPUs are in the runtime's package; its install script
downloads those for GPUs, so leave it out:

\`\`\`sh
npm install --ignore-scripts ./outrider-${version}.tgz ./outrider-models-${version}.tgz
\`\`\`
`;
}
