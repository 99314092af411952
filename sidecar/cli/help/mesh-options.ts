/** Texts of options that several commands have, so that one option reads the same everywhere. */

/** Of `--mesh`, where a running mesh is meant. */
export const MESH = 'mesh file of a mesh that `up` runs here; default: the mesh of this folder';
/** Of `--admin`. */
export const ADMIN = 'admin addresses of sidecars, instead of a mesh that `up` runs here';
