/** Who may do what (daemon.md §5): one table for every kind of principal. */
import type { RoleEntry } from '../config/types';
import type { Grant } from './driver';

/** Somebody with a key whom the table does not name may do everything, as before there were roles. */
const FULL: Grant = { role: 'admin' };

/** What entries for client certificates begin with. */
export const CERTIFICATE_PREFIX = 'cn:';

/** The table of `auth.roles`. A Map, so that no name has a meaning of its own. */
export class Roles {
    readonly #grants: ReadonlyMap<string, Grant>;

    constructor(entries: Readonly<Record<string, RoleEntry>>) {
        this.#grants = new Map(Object.entries(entries).map(([name, entry]) => [name, grant(entry)]));
    }

    /** What a user with a listed key may do. Entries for certificates are not for users who are called like them. */
    ofUser(user: string): Grant {
        return (user.startsWith(CERTIFICATE_PREFIX) ? undefined : this.#grants.get(user)) ?? FULL;
    }

    /** What the owner of a certificate may do; undefined if there is no entry for it. */
    ofCertificate(commonName: string): Grant | undefined {
        return this.#grants.get(`${CERTIFICATE_PREFIX}${commonName}`);
    }
}

function grant(entry: RoleEntry): Grant {
    if (typeof entry === 'string') {
        return { role: entry };
    }
    const { role, channels } = entry;
    return { role, ...(channels && { channels: new Set(channels) }) };
}
