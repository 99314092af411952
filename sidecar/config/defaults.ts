/** What files need not say, and the command line neither. */

export const DEFAULT_TRUST_DOMAIN = 'outrider.local';
/** Consul's own default. */
export const DEFAULT_DATACENTER = 'dc1';

/** Endpoints of one priority, where the configuration does not say. */
export const DEFAULT_MAX_ENDPOINTS = 128;
