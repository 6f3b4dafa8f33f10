/** Logging all there is for a while, at SIGUSR2 (daemon.md §4). */
import type { ServerLog } from '../log';
import { topic } from './driver';

/** Has a process log all there is, or as much as before again. */
export const TRACING = topic<boolean, null>('tracing');

/** Turns it on or off in this process, and says so in its log whatever its level. */
export function sayTracing(log: ServerLog, on: boolean): void {
    log.setTracing(true);
    log.warn({ tracing: on }, on ? 'logging all there is, until SIGUSR2 comes again' : 'logging as before');
    log.setTracing(on);
}
