/** Sockets that a service manager passes to the server (daemon.md §2). */
import type { PassedSocket } from './listen';

/** The first one that is passed. */
const FIRST = 3;

const VARIABLES = ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES'] as const;

/**
 * The sockets that were passed to this process, by the variables that systemd sets. They are removed from the
 * environment: programs that this one starts are not meant. Variables meant for another process are nobody's.
 */
export function takePassedSockets(): PassedSocket[] {
    const [pid, count, names] = VARIABLES.map((name) => process.env[name] ?? '');
    for (const name of VARIABLES) {
        // eslint-disable-next-line @typescript-eslint/no-dynamic-delete -- the only way to take it out
        delete process.env[name];
    }
    if (pid !== String(process.pid) || count === undefined || !/^\d{1,4}$/.test(count)) {
        return [];
    }
    const named = names === '' ? [] : (names ?? '').split(':');
    return Array.from({ length: Number(count) }, (_, index) => {
        const name = named[index];
        return { fd: FIRST + index, ...(name !== undefined && name !== '' && { name }) };
    });
}
