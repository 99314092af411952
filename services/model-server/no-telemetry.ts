/**
 * The inference library reports its use to its maker unless told not to, and leaves files in the temporary directory.
 * Imported before it; the operator's own setting stands.
 */
process.env['ORT_DISABLE_TELEMETRY'] ??= '1';
