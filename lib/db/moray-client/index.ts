/** What the folder gives to others (README.md). */
export type { BatchRequest, BatchResult } from './batch';
export { MorayClient, type BucketOptions, type ClientOptions } from './client';
export { MorayError, MORAY_ERRORS, isMorayError, type MorayErrorName } from './errors';
export { Objects, objectOf, overlaid, type Lock } from './objects';
export type { Reindexed } from './reindex';
export { Results } from './results';
export type * from './types';
