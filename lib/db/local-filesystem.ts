/** The folder of the database file: made if needed, and refused where SQLite could not share it safely. */
import { mkdir, statfs } from 'node:fs/promises';
import { ApiError } from '../errors';

/** File system types as statfs(2) gives them, on which the write-ahead log's shared memory does not work. */
const NETWORK_TYPES = new Map([
    [0x6969, 'NFS'],
    [0x517b, 'SMB'],
    [0xff534d42, 'CIFS'],
    [0xfe534d42, 'SMB2'],
]);

/** The name of a network file system by its statfs type; undefined for any other. */
export function networkFilesystem(type: number): string | undefined {
    // Some platforms extend the sign of the 32-bit number.
    return NETWORK_TYPES.get(type >>> 0);
}

/** The database folder is on a network file system. */
export class NetworkFilesystem extends Error {
    override readonly name = 'NetworkFilesystem';
    constructor(folder: string, type: string) {
        super(
            `databaseDir ${folder} is on a network file system (${type}), where the embedded database cannot be ` +
                'kept safely. Set databaseDir to a folder on a local disk, or use databaseType "moray" to share a ' +
                'database between hosts.',
        );
    }
}

/** @throws NetworkFilesystem, ApiError ServiceUnavailableError if the folder cannot be made or looked at */
export async function prepareFolder(folder: string): Promise<void> {
    let type: number;
    try {
        await mkdir(folder, { recursive: true });
        ({ type } = await statfs(folder));
    } catch (error) {
        throw new ApiError('ServiceUnavailableError', `databaseDir ${folder} cannot be used.`, {
            cause: error,
        });
    }
    const network = networkFilesystem(type);
    if (network !== undefined) {
        throw new NetworkFilesystem(folder, network);
    }
}
