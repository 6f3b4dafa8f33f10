/** Who the server is, and what it may do on this machine. */
import { accessSync, constants, existsSync, mkdirSync, statSync } from 'node:fs';
import { userInfo } from 'node:os';
import { dirname } from 'node:path';
import { userIds, type UserIds } from './accounts';

/** The user that the server is to become; undefined if it is that one already. @throws Error if it cannot become that */
export function futureUser(name: string | undefined): UserIds | undefined {
    if (name === undefined) {
        return undefined;
    }
    const ids = userIds(name);
    if (process.getuid?.() === ids.uid) {
        return undefined;
    }
    if (process.getuid?.() !== 0) {
        throw new Error(
            `config.user is "${name}", and only root can become another user: start the server as root, or leave "user" out.`,
        );
    }
    return ids;
}

/** Gives up being root for good: groups first, for only root may change them. @throws Error unless all of it was done */
export function becomeUser({ name, uid, gid }: UserIds): void {
    // The types leave it out.
    (process as { initgroups?: (user: string, group: number) => void }).initgroups?.(name, gid);
    process.setgid?.(gid);
    process.setuid?.(uid);
    if (process.getuid?.() !== uid || process.geteuid?.() !== uid || process.getegid?.() !== gid) {
        throw new Error(`The server could not become the user "${name}".`);
    }
}

/** @throws Error that says which of the folders of the server cannot be written to, and by whom */
export function assertWritable(folders: Readonly<Record<string, string>>): void {
    for (const [key, folder] of Object.entries(folders)) {
        try {
            makeFolder(folder);
            accessSync(folder, constants.W_OK | constants.X_OK);
        } catch (err) {
            const { code, message } = err as NodeJS.ErrnoException;
            const reason =
                code === 'EACCES' || code === 'EPERM'
                    ? `which the user "${whoAmI()}" may not write to: give that user the folder, or set another "${key}"`
                    : `which cannot be written to: ${message}`;
            throw new Error(`config.${key} is ${JSON.stringify(folder)}, ${reason}`, { cause: err });
        }
    }
}

/**
 * Makes a folder with those above it. Node's own way (`recursive`) never ends where a file system denies that the folder
 * above is there, as /proc does and an automounter may.
 */
function makeFolder(folder: string): void {
    if (existsSync(folder)) {
        if (!statSync(folder).isDirectory()) {
            throw new Error('it is not a folder');
        }
        return;
    }
    makeFolder(dirname(folder));
    try {
        mkdirSync(folder);
    } catch (err) {
        // Somebody else may have made it meanwhile.
        if ((err as NodeJS.ErrnoException).code !== 'EEXIST') {
            throw err;
        }
    }
}

function whoAmI(): string {
    try {
        return userInfo().username;
    } catch {
        return String(process.getuid?.());
    }
}
