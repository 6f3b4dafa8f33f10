/** Files of public keys (auth.md §5): what they are called, and what may be in them. */
import { isUtf8 } from 'node:buffer';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { setImmediate as others } from 'node:timers/promises';
import { parseKey, type VerifyKey } from './keys';

/** Largest content of a key file, in bytes: thousands of keys. */
export const MAX_KEY_FILE = 1024 * 1024;

/** Bytes asked for at a time where the size of a file says nothing, as that of those in /proc. */
const MIN_READ = 4096;

const EXTENSION = '.keys';

/** Lines that are parsed before requests get their turn. */
const BATCH = 50;

/** Whether a name in a folder is that of a key file. */
export function isKeyFileName(name: string): boolean {
    return name.endsWith(EXTENSION) && !name.startsWith('.');
}

/** The user whose keys a file of this name holds. */
export function userOf(name: string): string {
    return name.slice(0, -EXTENSION.length);
}

/** Why a file, or a line of it, cannot be used; `line` counts from 1. */
export interface Fault {
    readonly line: number;
    readonly message: string;
}

/** A file that is there and cannot be used as a whole. */
export class UnreadableKeyFile extends Error {
    override readonly name = 'UnreadableKeyFile';
    constructor(
        message: string,
        readonly line?: number,
    ) {
        super(message);
    }
}

/** @throws UnreadableKeyFile if the bytes are too many, or are not text: UTF-8 without NUL */
export function keyText(bytes: Buffer): string {
    if (bytes.length > MAX_KEY_FILE) {
        throw new UnreadableKeyFile(`it is larger than ${MAX_KEY_FILE} bytes`);
    }
    if (bytes.includes(0) || !isUtf8(bytes)) {
        const line = 1 + linesBeforeFault(bytes);
        throw new UnreadableKeyFile(`line ${line} is not text in UTF-8`, line);
    }
    return bytes.toString('utf8');
}

function linesBeforeFault(bytes: Buffer): number {
    for (let line = 0, start = 0; ; line++) {
        const found = bytes.indexOf('\n', start);
        const end = found < 0 ? bytes.length : found;
        const content = bytes.subarray(start, end);
        if (found < 0 || content.includes(0) || !isUtf8(content)) {
            return line;
        }
        start = end + 1;
    }
}

/**
 * The bytes of a regular file, at most one more than `limit` of them.
 *
 * @param options.follow whether it may be reached by a symlink
 * @throws UnreadableKeyFile if it is no regular file; the system's error if it cannot be opened or read
 */
export async function readRegularFile(
    path: string,
    { follow = true, limit = MAX_KEY_FILE }: { follow?: boolean; limit?: number } = {},
): Promise<Buffer> {
    // Opening a pipe must not wait for somebody to write to it.
    const flags = constants.O_RDONLY | constants.O_NONBLOCK | (follow ? 0 : constants.O_NOFOLLOW);
    const handle = await open(path, flags);
    try {
        const stats = await handle.stat();
        if (!stats.isFile()) {
            throw new UnreadableKeyFile(`it is ${stats.isDirectory() ? 'a folder' : 'no regular file'}`);
        }
        const room = Math.max(Math.min(stats.size, limit) + 1, MIN_READ);
        const chunks: Buffer[] = [];
        // A file may grow while it is read.
        for (let size = 0; size <= limit;) {
            const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(room), 0, room, size);
            if (bytesRead === 0) {
                break;
            }
            chunks.push(buffer.subarray(0, bytesRead));
            size += bytesRead;
        }
        return Buffer.concat(chunks).subarray(0, limit + 1);
    } finally {
        await handle.close();
    }
}

/** The keys in the text of a file, in their order, and the lines that are no usable keys. */
export async function parseKeys(text: string): Promise<{ keys: VerifyKey[]; faults: Fault[] }> {
    const keys: VerifyKey[] = [];
    const faults: Fault[] = [];
    for (const [index, content] of text.split(/\r?\n/).entries()) {
        // With the BOM, if there is one.
        const line = content.trim();
        if (line === '' || line.startsWith('#')) {
            continue;
        }
        try {
            keys.push(parseKey(line));
        } catch (err) {
            faults.push({ line: index + 1, message: err instanceof Error ? err.message : String(err) });
        }
        if ((keys.length + faults.length) % BATCH === 0) {
            await others();
        }
    }
    return { keys, faults };
}
