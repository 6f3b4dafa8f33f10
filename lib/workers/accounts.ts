/** The users and groups of the machine, as far as a server has to know them. */
import { execFileSync } from 'node:child_process';

/** Fields of an entry of a database of the machine; undefined if there is none of that name. */
function entry(database: 'passwd' | 'group', name: string): string[] | undefined {
    try {
        const line = execFileSync('getent', [database, name], {
            encoding: 'utf8',
            stdio: ['ignore', 'pipe', 'ignore'],
        });
        return line.trim().split(':');
    } catch (err) {
        if ((err as { status?: unknown }).status === 2) {
            return undefined;
        }
        throw new Error(
            `The ${database === 'group' ? 'group' : 'user'} "${name}" cannot be looked up: "getent" failed.`,
            {
                cause: err,
            },
        );
    }
}

/** Number of a group. @throws Error if there is none of that name */
export function groupId(name: string): number {
    const [, , gid] = entry('group', name) ?? [];
    if (gid === undefined) {
        throw new Error(
            `There is no group "${name}" on this machine; "listen.socketGroup" needs one that exists.`,
        );
    }
    return Number(gid);
}

export interface UserIds {
    readonly name: string;
    readonly uid: number;
    /** Of its own group. */
    readonly gid: number;
}

/** Numbers of a user and its group. @throws Error if there is none of that name */
export function userIds(name: string): UserIds {
    const [, , uid, gid] = entry('passwd', name) ?? [];
    if (uid === undefined || gid === undefined) {
        throw new Error(`There is no user "${name}" on this machine; "user" needs one that exists.`);
    }
    return { name, uid: Number(uid), gid: Number(gid) };
}
